-- What we have to tell receivers: claim, settle, give up, send again; and each receiver's pace.
--
-- outbox: part, order_id, seq, receiver, message, assignment_no (its key), body, created_at, state (waiting, sent, dead),
--         attempts, due_at (when to try next; moved ahead while a sender has it), batch (what a sender has, or had when it
--         died), sent_at, answer_due_at, answered_at, last_error, note (why it was settled without being sent)
--
-- An order's messages go to one receiver one after the other: one that is waiting or dead holds up those behind it.

-- receivers_due --
-- The receivers that have a message whose time has come, and how many.
-- reads all parts: a file for a receiver is made of all orders that it must be told about
select receiver, count(*)
  from outbox
 where part = any(%(parts)s)
   and state = 'waiting'
   and due_at <= %(now)s
 group by receiver
 order by receiver;

-- receivers_waiting --
-- The receivers that have a message whose time has come: one look at each part and receiver, however long the queues are.
-- reads all parts: one sender serves them all
with recursive first_of as (
    select wanted.part, f.receiver, f.due_at
      from unnest(%(parts)s) as wanted (part)
     cross join lateral (
               select o.receiver, o.due_at
                 from outbox o
                where o.part = wanted.part
                  and o.state = 'waiting'
                order by o.receiver, o.due_at
                limit 1
           ) f
     union all
    select before.part, f.receiver, f.due_at
      from first_of before
     cross join lateral (
               select o.receiver, o.due_at
                 from outbox o
                where o.part = before.part
                  and o.state = 'waiting'
                  and o.receiver > before.receiver
                order by o.receiver, o.due_at
                limit 1
           ) f
)
select distinct receiver
  from first_of
 where due_at <= %(now)s;

-- next_due --
-- When the next waiting message is due, if there is any.
-- reads all parts: one sender serves them all
select min(due_at)
  from outbox
 where part = any(%(parts)s)
   and state = 'waiting';

-- lock_abandoned_batch --
-- The oldest batch whose sender has not settled it in time: whole, so that it can be sent again as it was.
-- reads all parts: a batch holds messages of many
with oldest as (
    select batch
      from outbox
     where part = any(%(parts)s)
       and receiver = %(receiver)s
       and state = 'waiting'
       and due_at <= %(now)s
       and batch is not null
       and (attempts = 0 or not %(fresh_only)s)
     order by due_at, batch
     limit 1
)
select o.part, o.order_id, o.seq, o.message, o.assignment_no, o.attempts, o.body::text, o.batch
  from outbox o
  join oldest using (batch)
 where o.part = any(%(parts)s)
   and o.receiver = %(receiver)s
   and o.state = 'waiting'
   and o.due_at <= %(now)s
 order by o.part, o.order_id, o.seq, o.message, o.assignment_no
   -- Not `skip locked`: of two senders one waits, and then finds that nothing is left, instead of each taking a half.
   for update of o;

-- lock_ready_many --
-- Of each order the oldest message, if it may go now: at most so many, from among the longest due of each part.
-- Which of those is left to chance, so that senders at the same time seldom reach for the same ones; what another is just
-- taking is left to it. Only some of each part are looked at, so that a long queue costs no more than a short one.
-- reads all parts: a file for a receiver is made of all orders that it must be told about
with candidates as (
    select ready.*
      from unnest(%(parts)s) as wanted (part)
     cross join lateral (
               select o.part, o.order_id, o.seq, o.message, o.assignment_no
                 from outbox o
                where o.part = wanted.part
                  and o.receiver = %(receiver)s
                  and o.state = 'waiting'
                  and o.due_at <= %(now)s
                  and o.batch is null
                  and (o.attempts = 0 or not %(fresh_only)s)
                  and not exists (
                          select
                            from outbox before
                           where before.part = o.part
                             and before.order_id = o.order_id
                             and before.receiver = o.receiver
                             and before.state <> 'sent'
                             and (before.seq, before.message, before.assignment_no)
                                 < (o.seq, o.message, o.assignment_no)
                      )
                order by o.due_at
                limit %(limit_of_part)s
           ) ready
     order by random()
     limit %(limit)s
)
select o.part, o.order_id, o.seq, o.message, o.assignment_no, o.attempts, o.body::text, o.batch
  from candidates c
  join outbox o
    on o.part = c.part
   and o.order_id = c.order_id
   and o.seq = c.seq
   and o.receiver = %(receiver)s
   and o.message = c.message
   and o.assignment_no = c.assignment_no
 -- Asked again of the row that is locked: another sender may have had it since it became a candidate.
 where o.state = 'waiting'
   and o.due_at <= %(now)s
   and o.batch is null
 order by o.due_at, o.part, o.order_id
   for update of o skip locked;

-- lease_many --
-- A sender has these until the lease ends.
-- reads all parts: a batch holds messages of many
update outbox o
   set batch = %(batch)s,
       due_at = %(leased_until)s
  from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s)
       as t (part, order_id, seq, message, assignment_no)
 where o.part = t.part
   and o.order_id = t.order_id
   and o.seq = t.seq
   and o.receiver = %(receiver)s
   and o.message = t.message
   and o.assignment_no = t.assignment_no
   and o.state = 'waiting';

-- supersede_many --
-- Of these releases, which nobody has sent, those need not go that are told again as a whole behind them, or that cancels
-- behind them take back as a whole. A cancel says which units, not how many are left: so none supersedes another cancel.
-- reads all parts: a batch holds messages of many
update outbox o
   set state = 'sent',
       sent_at = %(now)s,
       answer_due_at = null,
       note = 'superseded: ' || case when told_again.seq is null then 'all of it is canceled behind it'
                                     else 'told again as ' || o.order_id || '/' || told_again.seq || '/' || o.assignment_no end
  from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s)
       as t (part, order_id, seq, message, assignment_no)
  left join lateral (
           select max(n.seq) as seq
             from outbox n
            where n.part = t.part
              and n.order_id = t.order_id
              and n.receiver = %(receiver)s
              and n.assignment_no = t.assignment_no
              and n.seq > t.seq
              and n.state = 'waiting'
           having bool_and(n.message = 'shipment.release')
       ) as told_again
    on true
 where o.part = t.part
   and o.order_id = t.order_id
   and o.seq = t.seq
   and o.receiver = %(receiver)s
   and o.message = t.message
   and o.assignment_no = t.assignment_no
   and o.message = 'shipment.release'
   and o.state = 'waiting'
   and o.attempts = 0
   and (told_again.seq is not null
        or not exists (
               select
                 from jsonb_to_recordset(o.body::jsonb -> 'lines') as told (line_no integer, quantity numeric)
                where told.quantity > (
                          select coalesce(sum(back.quantity), 0)
                            from outbox c
                           cross join jsonb_to_recordset(c.body::jsonb -> 'lines') as back (line_no integer, quantity numeric)
                           where c.part = o.part
                             and c.order_id = o.order_id
                             and c.receiver = o.receiver
                             and c.assignment_no = o.assignment_no
                             and c.seq > o.seq
                             and c.message = 'shipment.cancel'
                             and c.state = 'waiting'
                             and back.line_no = told.line_no
                      )
           ))
returning o.part, o.order_id, o.seq, o.message, o.assignment_no;

-- return_many --
-- Leased, but not tried: they may go again, at the earliest then; with `keep` as the same batch.
-- reads all parts: a batch holds messages of many
update outbox o
   set batch = case when %(keep)s then o.batch end,
       due_at = %(due_at)s
  from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s)
       as t (part, order_id, seq, message, assignment_no)
 where o.part = t.part
   and o.order_id = t.order_id
   and o.seq = t.seq
   and o.receiver = %(receiver)s
   and o.message = t.message
   and o.assignment_no = t.assignment_no
   and o.state = 'waiting'
   and o.batch = %(batch)s;

-- settle_sent_many --
-- Delivered. The time for an answer runs from now, not from when the message was written.
-- reads all parts: a batch holds messages of many
update outbox o
   set state = 'sent',
       sent_at = %(now)s,
       answer_due_at = o.answer_due_at + greatest(interval '0', %(now)s - o.created_at),
       attempts = o.attempts + 1,
       last_error = null
  from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s)
       as t (part, order_id, seq, message, assignment_no)
 where o.part = t.part
   and o.order_id = t.order_id
   and o.seq = t.seq
   and o.receiver = %(receiver)s
   and o.message = t.message
   and o.assignment_no = t.assignment_no
   and o.state = 'waiting';

-- settle_noted_many --
-- These need not be sent: the note says why. No answer is awaited.
-- reads all parts: a batch holds messages of many
update outbox o
   set state = 'sent',
       sent_at = %(now)s,
       answer_due_at = null,
       last_error = null,
       note = %(note)s
  from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s)
       as t (part, order_id, seq, message, assignment_no)
 where o.part = t.part
   and o.order_id = t.order_id
   and o.seq = t.seq
   and o.receiver = %(receiver)s
   and o.message = t.message
   and o.assignment_no = t.assignment_no
   and o.state = 'waiting';

-- settle_failed_many --
-- Not delivered: due again later (with `keep` as the same batch), or dead where it was refused or tried often enough. Dead
-- ones become work for a person.
-- reads all parts: a batch holds messages of many
with failed as (
    update outbox o
       set attempts = o.attempts + 1,
           batch = case when %(keep)s and not t.is_final and o.attempts + 1 < %(attempts_max)s then o.batch end,
           due_at = t.due_at,
           last_error = t.error,
           state = case when t.is_final or o.attempts + 1 >= %(attempts_max)s then 'dead' else 'waiting' end
      from unnest(%(key_parts)s, %(order_ids)s, %(seqs)s, %(messages)s, %(assignment_nos)s, %(due_ats)s, %(errors)s,
                  %(finals)s)
           as t (part, order_id, seq, message, assignment_no, due_at, error, is_final)
     where o.part = t.part
       and o.order_id = t.order_id
       and o.seq = t.seq
       and o.receiver = %(receiver)s
       and o.message = t.message
       and o.assignment_no = t.assignment_no
       and o.state = 'waiting'
       -- A sender that comes back after its lease has nothing to say about what another has now.
       and o.batch = %(batch)s
    returning o.part, o.order_id, o.seq, o.message, o.assignment_no, o.attempts, o.last_error, o.state
),
told as (
    insert into exceptions as known
           (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
    select part, order_id, 'delivery_dead/' || seq || '/' || message || '/' || assignment_no, 'delivery_dead',
           message || ' of ' || order_id || '/' || assignment_no || ' was given up after ' || attempts
               || case when attempts = 1 then ' attempt: ' else ' attempts: ' end || last_error,
           %(receiver)s, %(owner)s, %(now)s, %(owner_due_at)s, %(now)s
      from failed
     where state = 'dead'
        on conflict (part, subject, exception_id) do update
       set times = known.times + 1,
           last_seen_at = excluded.last_seen_at,
           explanation = excluded.explanation,
           closed_at = null,
           closed_by = null,
           evidence = null
)
select state, count(*)
  from failed
 group by state;

-- dead_many --
-- What is dead for a receiver, the oldest first: of these orders, with these words in the last error, written in this time.
-- reads all parts: a person looks at what a receiver has missed
select order_id, seq, message, assignment_no, created_at, attempts, last_error
  from outbox
 where part = any(%(parts)s)
   and receiver = %(receiver)s
   and state = 'dead'
   and (%(of_all)s or order_id = any(%(order_ids)s))
   and (%(reason)s::text is null or strpos(lower(last_error), lower(%(reason)s)) > 0)
   and (%(written_before)s::timestamptz is null or created_at < %(written_before)s)
   and (%(written_after)s::timestamptz is null or created_at >= %(written_after)s)
 order by created_at, part, order_id, seq
 limit %(limit)s;

-- redeliver_many --
-- Dead messages of a receiver begin anew: the same ones that `dead_many` shows.
-- reads all parts: a person sends again what a receiver has missed
update outbox
   set state = 'waiting',
       attempts = 0,
       due_at = %(now)s,
       batch = null
 where part = any(%(parts)s)
   and receiver = %(receiver)s
   and state = 'dead'
   and (%(of_all)s or order_id = any(%(order_ids)s))
   and (%(reason)s::text is null or strpos(lower(last_error), lower(%(reason)s)) > 0)
   and (%(written_before)s::timestamptz is null or created_at < %(written_before)s)
   and (%(written_after)s::timestamptz is null or created_at >= %(written_after)s);

-- begin_again_many --
-- These were sent, and their receiver could not use them: they begin anew, and their answers are due as long after.
-- reads all parts: an interchange holds messages of many orders
update outbox o
   set state = 'waiting',
       attempts = 0,
       due_at = %(now)s,
       batch = null,
       sent_at = null,
       answer_due_at = o.answer_due_at - greatest(interval '0', o.sent_at - o.created_at)
  from unnest(%(parts)s, %(order_ids)s, %(ids)s) as t (part, order_id, id)
 where o.part = t.part
   and o.order_id = t.order_id
   and o.receiver = %(receiver)s
   and o.order_id || '/' || o.seq || '/' || o.assignment_no = t.id
   and o.state = 'sent'
   and o.note is null;

-- count_many --
-- How many messages each receiver has in each state, and the oldest of them.
-- reads all parts: a person looks at the queues
select receiver, state, count(*), min(created_at)
  from outbox
 group by receiver, state
 order by receiver, state;

-- overdue_many --
-- Delivered, and not answered in time: work for a person, once for each assignment.
insert into exceptions (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select o.part, o.order_id, 'ack_overdue/' || o.assignment_no, 'ack_overdue',
       o.receiver || ' has not acknowledged assignment ' || o.order_id || '/' || o.assignment_no || ': delivered '
           || to_char(o.sent_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ', answer due '
           || to_char(o.answer_due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       o.receiver, %(owner)s, %(now)s, %(owner_due_at)s, %(now)s
  from outbox o
 where o.part = %(part)s
   and o.state = 'sent'
   and o.answered_at is null
   and o.answer_due_at < %(now)s
   and not exists (
           select
             from exceptions known
            where known.part = o.part
              and known.subject = o.order_id
              and known.exception_id = 'ack_overdue/' || o.assignment_no
       )
 order by o.answer_due_at
 limit %(limit)s
    on conflict do nothing;

-- know_receiver --
-- A receiver of which nothing is known yet may be told at once.
insert into receivers (receiver, next_at)
values (%(receiver)s, %(now)s)
    on conflict do nothing;

-- take_many --
-- The pace (GCRA): `next_at` is when all that was granted so far will have flowed off at the rate. What may be granted is
-- what keeps that within a burst of now.
with pace as (
    select receiver, greatest(next_at, %(now)s) as flowed_at
      from receivers
     where receiver = %(receiver)s
       for update
),
grant_now as (
    select receiver, flowed_at,
           greatest(0, least(%(wanted)s,
               -- A millionth keeps rounding of times from costing a whole unit.
               floor(%(burst)s - extract(epoch from flowed_at - %(now)s) * %(rate)s + 0.000001)))::integer as units
      from pace
)
update receivers r
   set next_at = g.flowed_at + make_interval(secs => g.units / (%(rate)s)::double precision)
  from grant_now g
 where r.receiver = g.receiver
returning g.units;
