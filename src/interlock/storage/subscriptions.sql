-- Who is sent the events, and how far each has been served.
--
-- subscriptions           part (of the name), subscription, failures, quiet_until, paused_at ...   the whole
-- subscription_parts      part, subscription, position, failures, due_at, holder ...               one of the 64 parts
-- subscription_letters    part, subscription, position, order_id, seq, state ...                   out of turn: dead, waiting

-- begin_one --
-- A subscription that is seen for the first time; no row where it is known.
insert into subscriptions (part, subscription, begun_at)
values (%(part)s, %(subscription)s, %(now)s)
    on conflict do nothing
returning subscription;

-- begin_parts --
-- It is served from here on.
insert into subscription_parts (part, subscription, position, moved_at, due_at)
select part, %(subscription)s, position, %(now)s, %(now)s
  from unnest(%(parts)s, %(positions)s) as t (part, position)
    on conflict do nothing;

-- due_many --
-- The subscriptions for which something may be done now.
-- reads all parts: a subscription is served in all of them
select s.subscription
  from subscriptions as s
 where s.part = any(%(homes)s)
   and s.subscription = any(%(subscriptions)s)
   and s.paused_at is null
   and (s.quiet_until is null or s.quiet_until <= %(now)s)
   and exists (
           select
             from subscription_parts as p
            where p.part = any(%(parts)s)
              and p.subscription = s.subscription
              and p.due_at <= %(now)s
              and (p.holder is null or p.held_until < %(now)s)
              and (p.position < (select max(e.position) from events as e where e.part = p.part)
                   or exists (
                          select
                            from subscription_letters as l
                           where l.part = p.part
                             and l.subscription = p.subscription
                             and l.state = 'waiting'
                             and l.due_at <= %(now)s
                      ))
       );

-- claim_many --
-- Take parts in which there is something to do, the longest unserved first. `fresh_only`: none that failed before.
-- reads all parts: a subscription is served in all of them
with free as (
    select p.part, p.subscription
      from subscription_parts as p
     where p.part = any(%(parts)s)
       and p.subscription = %(subscription)s
       and p.due_at <= %(now)s
       and (p.holder is null or p.held_until < %(now)s)
       and (p.failures = 0 or not %(fresh_only)s)
       and (p.position < (select max(e.position) from events as e where e.part = p.part)
            or exists (
                   select
                     from subscription_letters as l
                    where l.part = p.part
                      and l.subscription = p.subscription
                      and l.state = 'waiting'
                      and l.due_at <= %(now)s
               ))
       and exists (
               select
                 from subscriptions as s
                where s.part = %(home)s
                  and s.subscription = p.subscription
                  and s.paused_at is null
                  and (s.quiet_until is null or s.quiet_until <= %(now)s)
           )
     order by p.moved_at, p.part
     limit %(limit)s
       for update skip locked
)
update subscription_parts as p
   set holder = %(holder)s,
       held_until = %(held_until)s
  from free as f
 where p.part = f.part
   and p.subscription = f.subscription
returning p.part, p.position, p.failures;

-- letters_due --
-- What is to go out of turn in these parts.
-- reads all parts: of the parts that were claimed
select l.part, l.position, l.attempts
  from subscription_letters as l
 where l.part = any(%(parts)s)
   and l.subscription = %(subscription)s
   and l.state = 'waiting'
   and l.due_at <= %(now)s
 order by l.part, l.position
 limit %(limit)s;

-- settle_parts --
-- What was done in the parts that are still ours; gives which these are. Another may have taken over after the lease, or a
-- person has rewound it.
update subscription_parts as p
   set position = t.position,
       moved_at = %(now)s,
       sent = p.sent + t.sent,
       failures = t.failures,
       due_at = t.due_at,
       last_error = t.error,
       holder = null,
       held_until = null
  from unnest(%(parts)s, %(positions)s, %(sents)s, %(failures)s, %(due_ats)s, %(errors)s)
       as t (part, position, sent, failures, due_at, error)
 where p.part = t.part
   and p.subscription = %(subscription)s
   and p.holder = %(holder)s
returning p.part;

-- put_letters --
-- These could not be given to it, or are to go to it once more.
insert into subscription_letters as known
       (part, subscription, position, order_id, seq, state, attempts, put_at, due_at, last_error)
select part, %(subscription)s, position, order_id, seq, state, attempts, %(now)s, due_at, error
  from unnest(%(parts)s, %(positions)s, %(order_ids)s, %(seqs)s, %(states)s, %(attempts)s, %(due_ats)s, %(errors)s)
       as t (part, position, order_id, seq, state, attempts, due_at, error)
    on conflict (part, subscription, position) do update
   set state = excluded.state,
       attempts = excluded.attempts,
       due_at = excluded.due_at,
       last_error = coalesce(excluded.last_error, known.last_error);

-- drop_letters --
-- These were delivered.
delete from subscription_letters as l
 using unnest(%(parts)s, %(positions)s) as t (part, position)
 where l.part = t.part
   and l.subscription = %(subscription)s
   and l.position = t.position;

-- redeliver_dead --
-- What is dead waits to go again.
-- reads all parts: a person sends again what a subscriber has missed
update subscription_letters
   set state = 'waiting',
       attempts = 0,
       due_at = %(now)s
 where part = any(%(parts)s)
   and subscription = %(subscription)s
   and state = 'dead';

-- event_at --
-- One event, by its order and number.
select part, position, order_id, seq
  from events
 where part = %(part)s
   and order_id = %(order_id)s
   and seq = %(seq)s;

-- lock_one --
-- The whole of a subscription, for who changes it.
select failures, failing_since, paused_at, is_told
  from subscriptions
 where part = %(part)s
   and subscription = %(subscription)s
   for update;

-- failed_one --
-- How often it failed in a row; until when it is left alone; and whether it is paused for that.
update subscriptions
   set failures = %(failures)s,
       failing_since = %(failing_since)s,
       quiet_until = greatest(quiet_until, %(quiet_until)s),
       paused_at = coalesce(paused_at, case when %(pauses)s then %(now)s::timestamptz end),
       paused_by = coalesce(paused_by, case when %(pauses)s then 'interlock' end),
       paused_why = coalesce(paused_why, case when %(pauses)s then %(why)s::text end),
       is_told = is_told or %(pauses)s
 where part = %(part)s
   and subscription = %(subscription)s;

-- healed_one --
-- It took something: it does not fail any more. No row where nothing was said of it.
update subscriptions
   set failures = 0,
       failing_since = null,
       is_told = false
 where part = %(part)s
   and subscription = %(subscription)s
   and (failures > 0 or is_told)
   and paused_at is null
returning subscription;

-- pause_one --
-- A person pauses it.
update subscriptions
   set paused_at = %(now)s,
       paused_by = %(by)s,
       paused_why = %(why)s
 where part = %(part)s
   and subscription = %(subscription)s
   and paused_at is null
returning subscription;

-- resume_one --
-- It is served again, at once.
update subscriptions
   set paused_at = null,
       paused_by = null,
       paused_why = null,
       failures = 0,
       failing_since = null,
       quiet_until = null
 where part = %(part)s
   and subscription = %(subscription)s
   and paused_at is not null
returning subscription;

-- resume_parts --
-- None of its parts waits for a later attempt any more.
-- reads all parts: a subscription is served in all of them
update subscription_parts
   set failures = 0,
       due_at = %(now)s
 where part = any(%(parts)s)
   and subscription = %(subscription)s
   and failures > 0;

-- rewind_parts --
-- It is served from other positions on; who is at work has nothing to say about it any more.
update subscription_parts as p
   set position = t.position,
       moved_at = %(now)s,
       failures = 0,
       due_at = %(now)s,
       last_error = null,
       holder = null,
       held_until = null
  from unnest(%(parts)s, %(positions)s) as t (part, position)
 where p.part = t.part
   and p.subscription = %(subscription)s;

-- rewind_letters --
-- What is behind the new positions goes again by itself.
delete from subscription_letters as l
 using unnest(%(parts)s, %(positions)s) as t (part, position)
 where l.part = t.part
   and l.subscription = %(subscription)s
   and l.position > t.position;

-- tell_paused --
-- It was paused: work for a person.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
values (%(part)s, %(subscription)s, 'subscription_paused/' || %(subscription)s, 'subscription_paused', %(explanation)s, '',
        %(owner)s, %(now)s, %(owner_due_at)s, %(now)s)
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- tell_undelivered --
-- It could not be given events: work for a person, once for each subscription.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
values (%(part)s, %(subscription)s, 'event_undelivered/' || %(subscription)s, 'event_undelivered', %(explanation)s, '',
        %(owner)s, %(now)s, %(owner_due_at)s, %(now)s)
    on conflict (part, subject, exception_id) do update
   set times = known.times + %(events)s,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- close_paused --
-- It was resumed, and has taken something.
update exceptions
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = %(evidence)s
 where part = %(part)s
   and subject = %(subscription)s
   and exception_id = 'subscription_paused/' || %(subscription)s
   and closed_at is null;

-- close_undelivered --
-- None of its events lies there any more.
-- reads all parts: its letters may be in each of them
update exceptions
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = %(evidence)s
 where part = %(part)s
   and subject = %(subscription)s
   and exception_id = 'event_undelivered/' || %(subscription)s
   and closed_at is null
   and not exists (
           select
             from subscription_letters as l
            where l.part = any(%(parts)s)
              and l.subscription = %(subscription)s
       );

-- show_many --
-- How far all subscriptions have been served.
-- reads all parts: a person looks at them
with served as (
    select p.subscription, sum(p.sent)::bigint as sent, max(p.moved_at) as moved_at, max(p.failures) as failures,
           min(p.due_at) filter (where p.failures > 0) as due_at,
           (array_agg(p.last_error order by p.moved_at desc) filter (where p.last_error is not null))[1] as last_error,
           sum(coalesce((select max(e.position) from events as e where e.part = p.part), 0) - p.position)::bigint as behind,
           min((select e.recorded_at from events as e where e.part = p.part and e.position = p.position + 1)) as oldest_at
      from subscription_parts as p
     group by p.subscription
),
put_away as (
    select l.subscription, count(*) filter (where l.state = 'dead') as dead,
           count(*) filter (where l.state = 'waiting') as waiting
      from subscription_letters as l
     group by l.subscription
)
select s.subscription, s.begun_at, s.paused_at, s.paused_by, s.paused_why, s.quiet_until, s.failures, s.failing_since,
       v.sent, v.behind, v.oldest_at, v.moved_at, v.due_at, v.last_error, coalesce(a.dead, 0), coalesce(a.waiting, 0)
  from subscriptions as s
  join served as v using (subscription)
  left join put_away as a using (subscription)
 order by s.subscription;

-- letters_many --
-- What a subscription could not be given, or is to go to it again, the oldest first.
-- reads all parts: a person looks at them
select l.order_id, l.seq, l.state, l.attempts, l.put_at, l.due_at, l.last_error
  from subscription_letters as l
 where l.part = any(%(parts)s)
   and l.subscription = %(subscription)s
 order by l.put_at, l.part, l.position
 limit %(limit)s;

-- positions_many --
-- Where a subscription is in each part.
-- reads all parts: a cursor is of all of them
select part, position
  from subscription_parts
 where part = any(%(parts)s)
   and subscription = %(subscription)s;
