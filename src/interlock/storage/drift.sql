-- What partners send that their contracts do not say. `part` is part_of(system).

-- known_many --
-- Of some contracts of systems, the drift that has been seen, and under which text of the contract.
select system, contract, version, kind, path, digest
  from contract_drift
 where part = any(%(parts)s)
   and (system, contract) in (select system, contract from unnest(%(systems)s, %(contracts)s) as t (system, contract));

-- count_many --
-- Add messages that were counted in the last moments.
insert into contract_drift_slots as known (part, system, contract, version, kind, path, slot, messages)
select part, system, contract, version, kind, path, slot, messages
  from unnest(%(parts)s, %(systems)s, %(contracts)s, %(versions)s, %(kinds)s, %(paths)s, %(slots)s, %(messages)s)
       as t (part, system, contract, version, kind, path, slot, messages)
 order by part, system, contract, version, kind, path, slot
    on conflict (part, system, contract, version, kind, path, slot) do update
   set messages = known.messages + excluded.messages;

-- save_many --
-- Write drift down, with its last example.
insert into contract_drift as known
       (part, system, contract, version, kind, path, digest, is_held, first_at, last_at, message_id, expected, found)
select part, system, contract, version, kind, path, digest, is_held, first_at, last_at, message_id, expected, found
  from unnest(%(parts)s, %(systems)s, %(contracts)s, %(versions)s, %(kinds)s, %(paths)s, %(digests)s, %(is_held)s,
              %(first_at)s, %(last_at)s, %(message_ids)s, %(expected)s, %(found)s)
       as t (part, system, contract, version, kind, path, digest, is_held, first_at, last_at, message_id, expected, found)
 order by part, system, contract, version, kind, path
    on conflict (part, system, contract, version, kind, path) do update
   set digest = excluded.digest,
       is_held = excluded.is_held,
       first_at = least(known.first_at, excluded.first_at),
       last_at = greatest(known.last_at, excluded.last_at),
       message_id = coalesce(excluded.message_id, known.message_id),
       expected = excluded.expected,
       found = excluded.found;

-- open_many --
-- Tell of drift that is new, one row for each system and contract; where it is open already, what is new is said beside the rest.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, last_seen_at)
select part, system, 'contract_drift/' || contract, 'contract_drift', explanation, system, message_id, %(owner)s, %(now)s,
       %(due_at)s, %(now)s
  from unnest(%(parts)s, %(systems)s, %(contracts)s, %(explanations)s, %(message_ids)s)
       as t (part, system, contract, explanation, message_id)
 order by part, system, contract
    on conflict (part, subject, exception_id) do update
   set times = known.times + case when known.closed_at is null then 0 else 1 end,
       last_seen_at = excluded.last_seen_at,
       explanation = case when known.closed_at is null then left(excluded.explanation || '; before: ' || known.explanation, 4000)
                          else excluded.explanation end,
       message_id = excluded.message_id,
       opened_at = case when known.closed_at is null then known.opened_at else excluded.opened_at end,
       due_at = case when known.closed_at is null then known.due_at else excluded.due_at end,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- close_many --
-- The contract is another one than when its drift came, and none has come since a while: that is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = format('the contract %%s was changed (now %%s), and the last drift came at %%s', t.contract, t.digest,
                         to_char(t.last_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'))
  from (select d.system, d.contract, present.digest, max(d.last_at) as last_at
          from contract_drift as d
          join unnest(%(systems)s, %(contracts)s, %(digests)s) as present (system, contract, digest)
            on present.system = d.system
           and present.contract = d.contract
         where d.part = %(part)s
         group by d.system, d.contract, present.digest
        having max(d.last_at) < %(quiet_since)s
           and bool_and(d.digest <> present.digest)) as t
 where e.part = %(part)s
   and e.subject = t.system
   and e.exception_id = 'contract_drift/' || t.contract
   and e.closed_at is null;

-- forget_many --
-- Drop counts that are too old to be looked at; what was seen at all stays.
delete from contract_drift_slots
 where part = %(part)s
   and slot < %(before)s;

-- read_drift --
-- All drift of some systems, and how many messages showed it since then.
select d.system, d.contract, d.version, d.kind, d.path, d.is_held, d.first_at, d.last_at, d.message_id, d.expected, d.found,
       coalesce((select sum(s.messages)
                   from contract_drift_slots as s
                  where s.part = d.part
                    and s.system = d.system
                    and s.contract = d.contract
                    and s.version = d.version
                    and s.kind = d.kind
                    and s.path = d.path
                    and s.slot >= %(since)s), 0)::bigint as messages
  from contract_drift as d
 where d.part = any(%(parts)s)
   and d.system = any(%(systems)s)
 order by d.system, d.contract, d.last_at desc, d.version, d.kind, d.path
 limit %(limit)s;

-- read_totals --
-- How many messages of some systems were checked since then, by contract and version, and how many of them had drift.
select system, contract, version,
       coalesce(sum(messages) filter (where kind = 'checked'), 0)::bigint,
       coalesce(sum(messages) filter (where kind = 'warned'), 0)::bigint,
       coalesce(sum(messages) filter (where kind = 'held'), 0)::bigint,
       max(slot)
  from contract_drift_slots
 where part = any(%(parts)s)
   and system = any(%(systems)s)
   and kind in ('checked', 'warned', 'held')
   and slot >= %(since)s
 group by system, contract, version
 order by system, contract, version;
