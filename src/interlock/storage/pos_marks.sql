-- What tills count: the number of each transaction, and what is stated of each register's day.
-- `part` is part_of(system/store), so that all registers of a store are together.

-- save_many --
-- Write numbers down, each once: a repetition is counted, one with other bytes apart. Every day that changed is looked at soon,
-- one that is closed at once. A new number of a day that was closed before, or stated without a close, is late.
with saved as (
    insert into pos_marks as known
           (part, system, store, register, business_day, number, kind, digest, at, received_at, times)
    select %(part)s, %(system)s, store, register, business_day::date, number, kind, digest, at, %(received_at)s, times
      from unnest(%(stores)s, %(registers)s, %(days)s, %(numbers)s, %(kinds)s, %(digests)s, %(at)s, %(times)s)
           as t (store, register, business_day, number, kind, digest, at, times)
     order by store, register, business_day, number
        on conflict (part, system, store, register, business_day, number) do update
       set times = known.times + excluded.times,
           reused = known.reused + case when known.digest = excluded.digest then 0 else excluded.times end
    returning store, register, business_day, xmax = 0 as is_new
),
closes as (
    select store, register, business_day::date as business_day, first, last, count
      from unnest(%(close_stores)s, %(close_registers)s, %(close_days)s, %(firsts)s, %(lasts)s, %(counts)s)
           as t (store, register, business_day, first, last, count)
),
days as (
    select s.store, s.register, s.business_day, count(*) filter (where s.is_new) as new,
           c.store is not null as is_closed, c.first, c.last, c.count
      from saved as s
      left join closes as c
        on c.store = s.store
       and c.register = s.register
       and c.business_day = s.business_day
     group by s.store, s.register, s.business_day, c.store, c.first, c.last, c.count
)
insert into pos_days as known
       (part, system, store, register, business_day, began_at, changed_at, look_at, closed_at, said_first, said_last,
        said_count, transactions)
select %(part)s, %(system)s, store, register, business_day, %(received_at)s, %(received_at)s,
       case when is_closed then %(now)s else %(look_at)s end, case when is_closed then %(received_at)s end,
       first, last, count, new
  from days
 order by store, register, business_day
    on conflict (part, system, store, register, business_day) do update
   set changed_at = case when excluded.transactions > 0 then excluded.changed_at else known.changed_at end,
       look_at = least(known.look_at, case when known.closed_at is null then excluded.look_at else %(now)s end),
       closed_at = coalesce(known.closed_at, excluded.closed_at),
       said_first = coalesce(excluded.said_first, known.said_first),
       said_last = coalesce(excluded.said_last, known.said_last),
       said_count = coalesce(excluded.said_count, known.said_count),
       late = known.late + case when known.closed_at < excluded.changed_at
                                  or known.closed_at is null and excluded.closed_at is null and known.state <> 'open'
                                then excluded.transactions else 0 end,
       transactions = known.transactions + excluded.transactions;

-- due_many --
-- The days to look at now, with what came of them and where the register's day before ended. A close without a register ends
-- the day of every register of the store.
with due as materialized (
    select d.*
      from pos_days as d
     where d.part = %(part)s
       and d.look_at <= %(now)s
     order by d.look_at
     limit %(limit)s
       for update skip locked
)
select d.system, d.store, d.register, d.business_day, d.began_at, coalesce(d.closed_at, s.closed_at), d.said_first,
       d.said_last, d.said_count, d.due_at, d.state, d.told_missing, d.told_reused, d.told_open,
       m.transactions, m.least, m.most, m.repeats, m.reused, m.closes, d.last_number, b.last_number
  from due as d
  cross join lateral (
           select count(*) as transactions, min(number) as least, max(number) as most,
                  sum(times - 1)::bigint as repeats, sum(reused)::bigint as reused,
                  count(*) filter (where kind = 'close') as closes
             from pos_marks as k
            where k.part = d.part
              and k.system = d.system
              and k.store = d.store
              and k.register = d.register
              and k.business_day = d.business_day
       ) as m
  left join pos_days as s
    on s.part = d.part
   and s.system = d.system
   and s.store = d.store
   and s.register = ''
   and s.business_day = d.business_day
  left join lateral (
           select e.last_number
             from pos_days as e
            where e.part = d.part
              and e.system = d.system
              and e.store = d.store
              and e.register = d.register
              and e.business_day < d.business_day
            order by e.business_day desc
            limit 1
       ) as b
    on true
 order by d.system, d.store, d.register, d.business_day;

-- holes_many --
-- Where two neighbouring numbers of a register's day have others between them, the widest first: at most so many of a day.
select place, before, after, known_at
  from (select place, before, after, known_at,
               row_number() over (partition by place order by after - before desc) as width
          from (select t.place, m.number as after, m.received_at as known_at,
                       lag(m.number) over (partition by t.place order by m.number) as before
                  from unnest(%(systems)s, %(stores)s, %(registers)s, %(days)s) with ordinality
                       as t (system, store, register, business_day, place)
                  join pos_marks as m
                    on m.part = %(part)s
                   and m.system = t.system
                   and m.store = t.store
                   and m.register = t.register
                   and m.business_day = t.business_day::date) as numbered
         where after > before + 1) as holes
 where width <= %(holes_max)s
 order by place, before;

-- state_many --
-- Keep what is stated of days, and when each is to be looked at next.
update pos_days as d
   set look_at = t.look_at,
       due_at = t.due_at,
       state = t.state,
       stated_at = %(now)s,
       transactions = t.transactions,
       first_number = t.first_number,
       last_number = t.last_number,
       repeats = t.repeats,
       reused = t.reused,
       missing = t.missing,
       missing_count = t.missing_count,
       uncounted = t.uncounted,
       told_missing = t.told_missing,
       told_reused = t.told_reused,
       told_open = t.told_open
  from unnest(%(systems)s, %(stores)s, %(registers)s, %(days)s, %(look_at)s, %(due_at)s, %(states)s, %(transactions)s,
              %(first_numbers)s, %(last_numbers)s, %(repeats)s, %(reused)s, %(missing)s, %(missing_counts)s, %(uncounted)s,
              %(told_missing)s, %(told_reused)s, %(told_open)s)
       as t (system, store, register, business_day, look_at, due_at, state, transactions, first_number, last_number,
             repeats, reused, missing, missing_count, uncounted, told_missing, told_reused, told_open)
 where d.part = %(part)s
   and d.system = t.system
   and d.store = t.store
   and d.register = t.register
   and d.business_day = t.business_day::date;

-- look_after_many --
-- A day ends elsewhere than was known: the register's next day is looked at again. One that is locked is changing anyway.
update pos_days as d
   set look_at = %(now)s
 where (d.part, d.system, d.store, d.register, d.business_day) in (
           select n.part, n.system, n.store, n.register, n.business_day
             from unnest(%(systems)s, %(stores)s, %(registers)s, %(days)s) as t (system, store, register, business_day)
             cross join lateral (
                      select e.part, e.system, e.store, e.register, e.business_day
                        from pos_days as e
                       where e.part = %(part)s
                         and e.system = t.system
                         and e.store = t.store
                         and e.register = t.register
                         and e.business_day > t.business_day::date
                       order by e.business_day
                       limit 1
                         for update skip locked
                  ) as n
       );

-- look_in_store_many --
-- A close without a register ends the day of all registers of the store: they are looked at.
update pos_days as d
   set look_at = %(now)s
 where (d.part, d.system, d.store, d.register, d.business_day) in (
           select e.part, e.system, e.store, e.register, e.business_day
             from pos_days as e
             join unnest(%(systems)s, %(stores)s, %(days)s) as t (system, store, business_day)
               on e.system = t.system
              and e.store = t.store
              and e.business_day = t.business_day::date
            where e.part = %(part)s
              and e.register <> ''
              and e.closed_at is null
              and e.state = 'open'
              for update of e skip locked
       );

-- tell_many --
-- Open exceptions, or tell again of what has grown; those that are open already are only put right.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select %(part)s, subject, exception_id, reason, explanation, system, owner, %(now)s,
       %(now)s + make_interval(secs => within_s::double precision), %(now)s
  from unnest(%(subjects)s, %(exception_ids)s, %(reasons)s, %(explanations)s, %(systems)s, %(owners)s, %(within_s)s)
       as t (subject, exception_id, reason, explanation, system, owner, within_s)
 order by subject, exception_id
    on conflict (part, subject, exception_id) do update
   set times = known.times + case when known.closed_at is null then 0 else 1 end,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- retell_many --
-- Less is wrong than before, and not nothing: what is open says so; what a person has closed stays closed.
update exceptions as e
   set explanation = t.explanation,
       last_seen_at = %(now)s
  from unnest(%(subjects)s, %(exception_ids)s, %(explanations)s) as t (subject, exception_id, explanation)
 where e.part = %(part)s
   and e.subject = t.subject
   and e.exception_id = t.exception_id
   and e.closed_at is null;

-- close_many --
-- What was wrong is right: what came is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = t.evidence
  from unnest(%(subjects)s, %(exception_ids)s, %(evidence)s) as t (subject, exception_id, evidence)
 where e.part = %(part)s
   and e.subject = t.subject
   and e.exception_id = t.exception_id
   and e.closed_at is null;

-- days --
-- Register days for people, the newest first.
-- reads all parts: a person asks for a store or a day, whichever system's
select system, store, register, business_day, state, closed_at, stated_at, due_at, transactions, first_number, last_number,
       said_first, said_last, said_count, repeats, reused, late, missing, missing_count, uncounted
  from pos_days
 where part = any(%(all_parts)s)
   and (%(store)s::text is null or store = %(store)s)
   and (%(day)s::date is null or business_day = %(day)s)
   and (not %(unfinished)s or state <> 'complete')
 order by business_day desc, system, store, register
 limit %(limit)s;

-- kinds --
-- How many transactions of each kind a store's registers had on a day.
-- reads all parts: the store may be any system's
select system, register, kind, count(*)
  from pos_marks
 where part = any(%(all_parts)s)
   and store = %(store)s
   and business_day = %(day)s
 group by system, register, kind
 order by system, register, kind;
