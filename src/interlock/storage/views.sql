-- What people read: an order, its story, stock, work for people. Nothing here is hot, and nothing locks.

-- existing --
-- Which of these (part, order id) pairs are known: as an order, or as what a message wanted to change.
select asked.order_id
  from unnest(%(parts)s, %(order_ids)s) with ordinality as asked (part, order_id, place)
 where exists (select from orders as o where o.part = asked.part and o.order_id = asked.order_id)
    or exists (select from messages as m where m.part = asked.part and m.subject = asked.order_id)
 order by place;

-- found_by_reference --
-- reads all parts: a person gives the number that somebody else gave to a piece of an order.
-- The orders with this warehouse reference, shipment reference, tracking number, return number or customer's number.
select order_id from assignments where part = any(%(all_parts)s) and warehouse_ref = %(reference)s
 union
select order_id from shipments where part = any(%(all_parts)s) and ref = %(reference)s
 union
select order_id from packages where part = any(%(all_parts)s) and tracking = %(reference)s
 union
select order_id from return_lines where part = any(%(all_parts)s) and ref = %(reference)s
 union
select order_id from orders where part = any(%(all_parts)s) and number = %(reference)s
 order by order_id
 limit %(limit)s;

-- order_header --
-- The order as it stands, with its payment.
select o.order_id, o.system, o.channel, o.number, o.currency, o.placed_at, o.created_at, o.time_zone, o.word,
       o.fulfillment, o.destination, o.pickup_node, o.customer, o.recipient, o.total, o.tax, o.shipping, o.state, o.seq,
       o.hold_attempts, o.closed_at, o.wake_at, p.authorized, p.captured, p.refunded
  from orders as o
  left join payments as p on p.part = o.part and p.order_id = o.order_id
 where o.part = %(part)s
   and o.order_id = %(order_id)s;

-- order_lines --
select line_no, sku, source_sku, uom, unit_price, quantity, open, allocated, released, packed, shipped, canceled,
       returned, refunded, return_due
  from lines
 where part = %(part)s
   and order_id = %(order_id)s
 order by line_no;

-- order_assignments --
select assignment_no, node, state, created_at, released_at, acknowledged_at, warehouse_ref
  from assignments
 where part = %(part)s
   and order_id = %(order_id)s
 order by assignment_no;

-- order_reservations --
select assignment_no, line_no, sku, quantity, allocated, released, packed, shipped, canceled, rejected
  from reservations
 where part = %(part)s
   and order_id = %(order_id)s
 order by assignment_no, line_no;

-- order_shipments --
select shipment_no, assignment_no, node, ref, shipped_at
  from shipments
 where part = %(part)s
   and order_id = %(order_id)s
 order by shipment_no;

-- order_shipment_lines --
select shipment_no, line_no, quantity
  from shipment_lines
 where part = %(part)s
   and order_id = %(order_id)s
 order by shipment_no, line_no;

-- order_packages --
select shipment_no, package_no, tracking, carrier
  from packages
 where part = %(part)s
   and order_id = %(order_id)s
 order by shipment_no, package_no;

-- order_returns --
select ref, line_no, due, received
  from return_lines
 where part = %(part)s
   and order_id = %(order_id)s
 order by ref, line_no;

-- story_messages --
-- Everything that was asked about the subject, whatever became of it: the latest first, so that of a SKU that is counted
-- every day the last days are told.
select message_id, system, source_message_id, file, record, received_at, occurred_at, trace_id, action, business_key,
       coalesce(outcome, 'received') as outcome, reason, settled_at, waits_for
  from messages
 where part = %(part)s
   and subject = %(subject)s
 order by message_id desc
 limit %(limit)s;

-- story_events --
select seq, body::text, message_id, system, occurred_at, recorded_at
  from events
 where part = %(part)s
   and order_id = %(subject)s
 order by seq;

-- story_outbox --
select seq, receiver, message, assignment_no, created_at, state, attempts, due_at, batch, sent_at, answer_due_at,
       answered_at, last_error, note
  from outbox
 where part = %(part)s
   and order_id = %(subject)s
 order by seq, receiver, message, assignment_no;

-- story_exceptions --
select exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, times, last_seen_at, closed_at,
       closed_by, evidence
  from exceptions
 where part = %(part)s
   and subject = %(subject)s
 order by opened_at, exception_id;

-- positions_of_sku --
select sku, node, physical, unsellable, reserved, excluded_until, excluded_reason, changed_at
  from positions
 where part = %(part)s
   and sku = %(sku)s
   and (%(node)s::text is null or node = %(node)s)
 order by node
 limit %(limit)s;

-- positions_of_node --
-- reads all parts: a node's stock lies with its SKUs, in every part.
select sku, node, physical, unsellable, reserved, excluded_until, excluded_reason, changed_at
  from positions
 where part = any(%(all_parts)s)
   and (%(node)s::text is null or node = %(node)s)
 order by sku, node
 limit %(limit)s;

-- exceptions_many --
-- reads all parts: the queue of a person holds the exceptions of all orders.
select subject, exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, times, last_seen_at,
       closed_at, closed_by, evidence
  from exceptions
 where part = any(%(all_parts)s)
   and (closed_at is null) = %(is_open)s
   and (%(reason)s::text is null or reason = %(reason)s)
 order by due_at, subject, exception_id
 limit %(limit)s;

-- close_exception_if_open --
-- Close one exception on evidence; no row says that there is none, or none that is open.
update exceptions
   set closed_at = %(now)s,
       closed_by = %(closed_by)s,
       evidence = %(evidence)s
 where part = %(part)s
   and subject = %(subject)s
   and exception_id = %(exception_id)s
   and closed_at is null
returning subject, exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, times,
          last_seen_at, closed_at, closed_by, evidence;

-- message_of_subject --
select message_id, subject, system, source_message_id, file, record, received_at, occurred_at, time_zone, trace_id,
       content_type, body, action, business_key, coalesce(outcome, 'received') as outcome, reason, settled_at, waits_for
  from messages
 where part = %(part)s
   and subject = %(subject)s
   and message_id = %(message_id)s;

-- message_anywhere --
-- reads all parts: a person has the message's id and not what it was about; slow, because messages lie by subject.
select message_id, subject, system, source_message_id, file, record, received_at, occurred_at, time_zone, trace_id,
       content_type, body, action, business_key, coalesce(outcome, 'received') as outcome, reason, settled_at, waits_for
  from messages
 where part = any(%(all_parts)s)
   and message_id = %(message_id)s
 limit 1;

-- receivers_many --
-- reads all parts: what a receiver has still to be told lies with the orders.
select receiver, state, count(*) as messages, min(created_at) as oldest_at, min(due_at) as next_at,
       max(attempts) as attempts_max, count(*) filter (where answered_at is null and answer_due_at < %(now)s) as overdue
  from outbox
 where part = any(%(all_parts)s)
 group by receiver, state
 order by receiver, state;

-- ready --
select 1;
