-- add_many --
-- Add what was seen of clocks in the last moments: one row for each system and slot.
insert into clock_lags as known (part, system, slot, messages, lag_min_s, lag_max_s, last_at)
select part, system, slot, messages, lag_min_s, lag_max_s, last_at
  from unnest(%(parts)s, %(systems)s, %(slots)s, %(messages)s, %(lag_min_s)s::double precision[],
              %(lag_max_s)s::double precision[], %(last_at)s)
       as t (part, system, slot, messages, lag_min_s, lag_max_s, last_at)
 order by part, system, slot
    on conflict (part, system, slot) do update
   set messages = known.messages + excluded.messages,
       lag_min_s = least(known.lag_min_s, excluded.lag_min_s),
       lag_max_s = greatest(known.lag_max_s, excluded.lag_max_s),
       last_at = greatest(known.last_at, excluded.last_at);

-- read_many --
-- Of each system the last quarter of an hour in which it said a time.
select c.system, sum(c.messages)::bigint, min(c.lag_min_s), max(c.lag_max_s), min(c.slot), max(c.last_at)
  from clock_lags as c
  join (select part, system, max(slot) as slot
          from clock_lags
         where part = any(%(parts)s)
           and system = any(%(systems)s)
         group by part, system) as newest
    on newest.part = c.part
   and newest.system = c.system
   and c.slot > newest.slot - make_interval(secs => %(window_s)s)
 group by c.system
 order by c.system;

-- forget_many --
-- Drop what is too old to be looked at.
delete from clock_lags
 where part = %(part)s
   and slot < %(before)s;

-- open_many --
-- Tell of wrong clocks, one row for each system; told again only of what was seen since it was closed, and noted as seen
-- once a minute.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select %(part)s, system, 'clock_skew/' || system, 'clock_skew', explanation, system, %(owner)s, %(now)s, %(due_at)s, %(now)s
  from unnest(%(systems)s, %(explanations)s, %(seen_at)s) as t (system, explanation, seen_at)
 where not exists (
           select
             from exceptions as e
            where e.part = %(part)s
              and e.subject = t.system
              and e.exception_id = 'clock_skew/' || t.system
              and (e.closed_at >= t.seen_at or (e.closed_at is null and e.last_seen_at > %(touched_before)s))
       )
    on conflict (part, subject, exception_id) do update
   set times = known.times + case when known.closed_at is null then 0 else 1 end,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- close_many --
-- The clocks are right again: what was seen of them is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = t.evidence
  from unnest(%(systems)s, %(evidence)s) as t (system, evidence)
 where e.part = %(part)s
   and e.subject = t.system
   and e.exception_id = 'clock_skew/' || t.system
   and e.closed_at is null;
