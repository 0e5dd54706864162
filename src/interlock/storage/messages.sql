-- lock_part --
-- Take the part for this transaction; waits for whoever holds it. The lease dies with the connection.
select part
  from part_lock
 where part = %(part)s
   for update;

-- claim_part --
-- Take the part if nobody holds it; no row says that somebody does.
select part
  from part_lock
 where part = %(part)s
   for update skip locked;

-- keep_many --
-- Keep messages verbatim. Without an outcome they wait for a worker, and their command waits with them.
insert into messages
       (part, subject, message_id, system, source_message_id, file, record, received_at, occurred_at, time_zone,
        trace_id, content_type, body, action, business_key, command, outcome, reason, settled_at, waits_for, waits_until,
        contract, context)
select %(part)s, subject, message_id, system, source_message_id, file, record, received_at, occurred_at, time_zone,
       trace_id, content_type, body, action, business_key, command, outcome, reason,
       case when outcome is not null then %(now)s end, waits_for, waits_until, contract, context
  from unnest(%(subjects)s, %(message_ids)s, %(systems)s, %(source_message_ids)s, %(files)s, %(records)s,
              %(received_at)s, %(occurred_at)s, %(time_zones)s, %(trace_ids)s, %(content_types)s, %(bodies)s,
              %(actions)s, %(business_keys)s, %(commands)s, %(outcomes)s, %(reasons)s, %(waits_for)s, %(waits_until)s,
              %(contracts)s, %(contexts)s)
       as t (subject, message_id, system, source_message_id, file, record,
             received_at, occurred_at, time_zone, trace_id, content_type, body,
             action, business_key, command, outcome, reason, waits_for, waits_until, contract, context)
    on conflict (part, subject, message_id) do nothing;

-- settle_many --
-- Give kept messages their outcome; only what is parked keeps its command.
update messages as m
   set outcome = t.outcome,
       reason = t.reason,
       settled_at = %(now)s,
       waits_for = t.waits_for,
       waits_until = t.waits_until,
       command = case when t.outcome = 'parked' then m.command end
  from unnest(%(subjects)s, %(message_ids)s, %(outcomes)s, %(reasons)s, %(waits_for)s, %(waits_until)s)
       as t (subject, message_id, outcome, reason, waits_for, waits_until)
 where m.part = %(part)s
   and m.subject = t.subject
   and m.message_id = t.message_id
   and (m.outcome is null or m.outcome = 'parked');

-- waiting_many --
-- The messages of a part that wait for a worker, in the order in which they arrived.
select message_id, system, received_at, body, content_type, command::text, source_message_id, trace_id, file, record
  from messages
 where part = %(part)s
   and outcome is null
 order by message_id
 limit %(limit)s;

-- parked_many --
-- The messages that wait for these subjects to exist, in the order in which they arrived.
select message_id, system, received_at, body, content_type, command::text, source_message_id, trace_id, file, record
  from messages
 where part = %(part)s
   and subject = any(%(subjects)s)
   and outcome = 'parked'
 order by message_id;

-- close_parked --
-- It went on after all: the exception is closed, and what became of the message is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = 'what it waited for came, and it was ' || t.outcome
  from unnest(%(subjects)s, %(exception_ids)s, %(outcomes)s) as t (subject, exception_id, outcome)
 where e.part = %(part)s
   and e.subject = t.subject
   and e.exception_id = t.exception_id
   and e.closed_at is null;

-- overdue_parked --
-- Parked longer than its action and system allow: work for a person, once; the message still waits.
with late as (
    select subject, message_id
      from messages
     where part = %(part)s
       and outcome = 'parked'
       and waits_until < %(now)s
     order by waits_until
     limit %(limit)s
),
told as (
    update messages as m
       set waits_until = null
      from late
     where m.part = %(part)s
       and m.subject = late.subject
       and m.message_id = late.message_id
    returning m.subject, m.message_id, m.system, m.action, m.business_key, m.waits_for, m.received_at
)
insert into exceptions (part, subject, exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, last_seen_at)
select %(part)s, subject, 'parked_too_long/' || message_id, 'parked_too_long',
       system || ' sent ' || action || ' ' || coalesce(nullif(business_key, ''), subject) || ' on '
           || to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ': it still waits for ' || waits_for,
       system, message_id, %(owner)s, %(now)s, %(owner_due_at)s, %(now)s
  from told
    on conflict do nothing
returning subject;

-- waiting_parts --
-- reads all parts: a hint of where there is work; who works claims the part first.
-- The parts that have messages or orders whose time has come.
select part
  from part_lock as p
 where exists (select from messages as m where m.part = p.part and m.outcome is null)
    or exists (select from orders as o where o.part = p.part and o.wake_at <= %(now)s)
 order by part;

-- due_many --
-- Orders on which time itself acts now.
select order_id, seq, state
  from orders
 where part = %(part)s
   and wake_at <= %(now)s
 order by wake_at
 limit %(limit)s;

-- open_keys --
-- Write request keys down, and say of each whether it stands for the payload given: for another one it is false.
-- reads all parts: keys of one request may be anybody's; each is a row of its own, touched in one order.
with asked as (
    select distinct on (part, system, request_key) part, system, request_key, payload_hash
      from unnest(%(parts)s, %(systems)s, %(keys)s, %(hashes)s) with ordinality
           as t (part, system, request_key, payload_hash, place)
     order by part, system, request_key, place
),
opened as (
    insert into request_keys as known (part, system, request_key, payload_hash, first_seen_at)
    select part, system, request_key, payload_hash, %(now)s
      from asked
     order by part, system, request_key
        on conflict (part, system, request_key) do update
       set first_seen_at = known.first_seen_at       -- touched only so that the row comes back
    returning part, system, request_key, payload_hash
)
select opened.payload_hash = t.payload_hash
  from unnest(%(parts)s, %(systems)s, %(keys)s, %(hashes)s) with ordinality
       as t (part, system, request_key, payload_hash, place)
  join opened using (part, system, request_key)
 order by place;
