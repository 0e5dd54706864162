-- load_many --
-- What was said under these keys.
select r.subject, r.action, r.business_key, r.system, r.facts::text
  from unnest(%(subjects)s, %(actions)s, %(keys)s) as asked (subject, action, business_key)
  join dual_reports as r
    on r.part = %(part)s
   and r.subject = asked.subject
   and r.action = asked.action
   and r.business_key = asked.business_key;

-- save_many --
-- Write reports down. A master's first word under a key stays: what it says again is compared, and not kept.
insert into dual_reports
       (part, subject, action, business_key, system, pair, facts, verdict, differences, reported_at)
select %(part)s, subject, action, business_key, system, pair, facts, verdict, differences, %(now)s
  from unnest(%(subjects)s, %(actions)s, %(keys)s, %(systems)s, %(pairs)s, %(facts)s, %(verdicts)s, %(differences)s)
       as t (subject, action, business_key, system, pair, facts, verdict, differences)
    on conflict (part, subject, action, business_key, system) do nothing;

-- shares --
-- How the facts of a pair were told since a time: by both, or by one alone.
-- reads all parts: a report for people
with told as (
    select action, part, subject, business_key,
           min(reported_at) as first_at,
           count(*) as masters,
           bool_or(verdict = 'diverges') as diverges,
           min(system) as one
      from dual_reports
     where pair = %(pair)s
       and reported_at >= %(since)s
     group by part, subject, action, business_key
),
counted as (
    select action, (first_at at time zone 'UTC')::date as day, one,
           count(*) filter (where masters > 1 and not diverges) as agree,
           count(*) filter (where masters > 1 and diverges) as diverge,
           count(*) filter (where masters = 1 and first_at < %(settled_before)s) as alone,
           count(*) filter (where masters = 1 and first_at >= %(settled_before)s) as waiting
      from told
     group by 1, 2, 3
),
fields as (
    select r.action, (r.reported_at at time zone 'UTC')::date as day, d.value ->> 'field' as field, count(*) as times
      from dual_reports r
     cross join lateral json_array_elements(r.differences) d
     where r.pair = %(pair)s
       and r.reported_at >= %(since)s
       and r.verdict = 'diverges'
     group by 1, 2, 3
)
select c.action, c.day, sum(c.agree)::bigint, sum(c.diverge)::bigint,
       json_object_agg(c.one, c.alone) filter (where c.alone > 0),
       sum(c.waiting)::bigint,
       (select json_object_agg(f.field, f.times) from fields f where f.action = c.action and f.day = c.day)
  from counted c
 group by c.action, c.day
 order by c.day, c.action;

-- divergences --
-- The newest reports that do not agree with the other master's.
-- reads all parts: a report for people
select reported_at, subject, action, business_key, system, differences
  from dual_reports
 where pair = %(pair)s
   and reported_at >= %(since)s
   and verdict = 'diverges'
 order by reported_at desc, subject
 limit %(limit)s;
