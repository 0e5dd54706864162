-- first_seen_many --
-- When each request key came first; null for one that never did.
-- reads all parts: keys of one request may be anybody's
select k.first_seen_at
  from unnest(%(parts)s, %(systems)s, %(keys)s) with ordinality as t (part, system, request_key, place)
  left join request_keys as k
    on k.part = t.part
   and k.system = t.system
   and k.request_key = t.request_key
 order by t.place;

-- refused_many --
-- Count refused signatures: one row for each system and slot, however many came.
insert into signature_refusals as known (part, system, slot, refusals, last_why, last_at)
select part, system, slot, refusals, last_why, last_at
  from unnest(%(parts)s, %(systems)s, %(slots)s, %(refusals)s, %(whys)s, %(last_at)s)
       as t (part, system, slot, refusals, last_why, last_at)
 order by part, system, slot
    on conflict (part, system, slot) do update
   set refusals = known.refusals + excluded.refusals,
       last_why = case when excluded.last_at >= known.last_at then excluded.last_why else known.last_why end,
       last_at = greatest(known.last_at, excluded.last_at);

-- alarm_many --
-- Many refused signatures of one system are work for a person: one row, told again only of refusals since it was closed, and
-- noted as seen once a minute.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select r.part, r.system, 'bad_signature/' || r.system, 'bad_signature',
       'signatures of ' || r.system || ' were refused ' || sum(r.refusals) || ' times since '
           || to_char(min(r.slot) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') || '; the last one: '
           || (array_agg(r.last_why order by r.last_at desc))[1],
       r.system, %(owner)s, %(now)s, %(due_at)s, %(now)s
  from signature_refusals as r
 where r.part = %(part)s
   and r.slot > %(since)s
 group by r.part, r.system
having sum(r.refusals) >= %(refusals_min)s
   and not exists (
           select
             from exceptions as e
            where e.part = r.part
              and e.subject = r.system
              and e.exception_id = 'bad_signature/' || r.system
              and (e.closed_at >= max(r.last_at)
                   or e.closed_at is null and (e.last_seen_at > %(touched_before)s or e.last_seen_at >= max(r.last_at)))
       )
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- forget_many --
-- Drop counts that are too old to be looked at.
delete from signature_refusals
 where part = %(part)s
   and slot < %(before)s;
