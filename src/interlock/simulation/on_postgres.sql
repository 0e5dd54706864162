-- due --
-- What a receiver must be told: of each order the oldest message that was not delivered, in the order in which they arose.
-- reads all parts: the simulated receiver is one
select o.part, o.order_id, o.seq, o.receiver, o.message, o.assignment_no, o.body::text
  from outbox as o
 where o.part = any(%(parts)s)
   and o.receiver = %(receiver)s
   and o.state = 'waiting'
   and not exists (
           select
             from outbox as before
            where before.part = o.part
              and before.order_id = o.order_id
              and before.receiver = o.receiver
              and before.state <> 'sent'
              and (before.seq, before.message, before.assignment_no) < (o.seq, o.message, o.assignment_no)
       )
 order by o.created_at, o.order_id, o.seq, o.message, o.assignment_no
 limit %(limit)s;

-- next_wake --
-- When time itself acts next: on an order, on what is parked, on what is not answered.
-- reads all parts: the simulation is one
select least(
           (select min(wake_at) from orders where part = any(%(parts)s)),
           (select min(waits_until) from messages where part = any(%(parts)s) and outcome = 'parked'),
           (select min(answer_due_at) from outbox
             where part = any(%(parts)s) and state = 'sent' and answered_at is null
               and not exists (select from exceptions e
                                where e.part = outbox.part and e.subject = outbox.order_id
                                  and e.exception_id = 'ack_overdue/' || outbox.assignment_no))
       );

-- order_ids --
-- Every order of a part.
select order_id from orders where part = %(part)s;

-- positions --
-- Every position that ever moved.
-- reads all parts: the whole is hashed
select sku, node, physical, unsellable, reserved
  from positions as p
 where part = any(%(parts)s)
   and exists (select from movements as m where m.part = p.part and m.sku = p.sku and m.node = p.node);

-- answers --
-- The ledger.
-- reads all parts: the whole is hashed
select subject, action, business_key, outcome from ledger where part = any(%(parts)s);

-- exceptions --
-- Work for people.
-- reads all parts: the whole is hashed
select subject, exception_id, times, closed_at is null from exceptions where part = any(%(parts)s);

-- parked --
-- What waits, and for what.
-- reads all parts: the whole is hashed
select subject, waits_for from messages where part = any(%(parts)s) and outcome = 'parked';

-- restless --
-- After a quiet time: what nothing and nobody will move.
-- reads all parts: the simulation is one
select 'answered_or_chased', order_id, receiver || ' was never told ' || message
  from outbox
 where part = any(%(parts)s)
   and state = 'waiting'
 union all
select 'nothing_vanishes', m.subject, 'parked for ' || m.waits_for || ', and nobody was told'
  from messages as m
 where m.part = any(%(parts)s)
   and m.outcome = 'parked'
   and (m.waits_until is null or m.waits_until < %(now)s)
   and not exists (
           select from exceptions as e where e.part = m.part and e.subject = m.subject and e.closed_at is null
       )
 union all
select 'answered_or_chased', o.order_id, 'its time has come, and nothing happened'
  from orders as o
 where o.part = any(%(parts)s)
   and o.wake_at <= %(now)s
 union all
select 'answered_or_chased', o.order_id, o.state || ' with units held or open, and neither time nor a person will move it'
  from orders as o
 where o.part = any(%(parts)s)
   and o.wake_at is null
   and exists (
           select from lines as l
            where l.part = o.part
              and l.order_id = o.order_id
              and l.open + l.allocated + l.released + l.packed > 0
       )
   and not exists (
           select from exceptions as e where e.part = o.part and e.subject = o.order_id and e.closed_at is null
       );
