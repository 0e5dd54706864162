-- new_orders --
-- Orders that were not there.
insert into orders
       (part, order_id, system, channel, number, currency, placed_at, created_at, time_zone, word, fulfillment,
        destination, pickup_node, customer, recipient, total, tax, shipping, state, seq, hold_attempts, closed_at,
        wake_at)
select %(part)s, *
  from unnest(%(order_ids)s, %(systems)s, %(channels)s, %(numbers)s, %(currencies)s, %(placed_at)s, %(created_at)s,
              %(time_zones)s, %(words)s, %(fulfillments)s, %(destinations)s, %(pickup_nodes)s, %(customers)s,
              %(recipients)s, %(totals)s, %(taxes)s, %(shippings)s, %(states)s, %(seqs)s, %(hold_attempts)s, %(closed_at)s,
              %(wake_at)s);

-- orders --
-- How known orders stand now.
update orders as o
   set state = t.state,
       seq = t.seq,
       hold_attempts = t.hold_attempts,
       closed_at = t.closed_at,
       wake_at = t.wake_at
  from unnest(%(order_ids)s, %(states)s, %(seqs)s, %(hold_attempts)s, %(closed_at)s, %(wake_at)s)
       as t (order_id, state, seq, hold_attempts, closed_at, wake_at)
 where o.part = %(part)s
   and o.order_id = t.order_id;

-- new_lines --
-- The lines of orders that were not there.
insert into lines
       (part, order_id, line_no, sku, source_sku, uom, unit_price, quantity,
        open, allocated, released, packed, shipped, canceled, returned, refunded, return_due)
select %(part)s, *
  from unnest(%(order_ids)s, %(line_nos)s, %(skus)s, %(source_skus)s, %(uoms)s, %(unit_prices)s, %(quantities)s,
              %(open)s, %(allocated)s, %(released)s, %(packed)s, %(shipped)s, %(canceled)s, %(returned)s,
              %(refunded)s, %(return_due)s);

-- lines --
-- Where the units of known lines are now.
update lines as l
   set open = t.open,
       allocated = t.allocated,
       released = t.released,
       packed = t.packed,
       shipped = t.shipped,
       canceled = t.canceled,
       returned = t.returned,
       refunded = t.refunded,
       return_due = t.return_due
  from unnest(%(order_ids)s, %(line_nos)s, %(open)s, %(allocated)s, %(released)s, %(packed)s, %(shipped)s,
              %(canceled)s, %(returned)s, %(refunded)s, %(return_due)s)
       as t (order_id, line_no, open, allocated, released, packed, shipped, canceled, returned, refunded, return_due)
 where l.part = %(part)s
   and l.order_id = t.order_id
   and l.line_no = t.line_no;

-- new_payments --
-- The payments of orders that were not there.
insert into payments (part, order_id, currency, authorized, captured, refunded)
select %(part)s, *
  from unnest(%(order_ids)s, %(currencies)s, %(authorized)s, %(captured)s, %(refunded)s);

-- payments --
-- What known payments have come to.
update payments as p
   set authorized = t.authorized,
       captured = t.captured,
       refunded = t.refunded
  from unnest(%(order_ids)s, %(authorized)s, %(captured)s, %(refunded)s)
       as t (order_id, authorized, captured, refunded)
 where p.part = %(part)s
   and p.order_id = t.order_id;

-- new_assignments --
-- Assignments that were not there.
insert into assignments
       (part, order_id, assignment_no, node, state, created_at, released_at, acknowledged_at, warehouse_ref)
select %(part)s, *
  from unnest(%(order_ids)s, %(assignment_nos)s, %(nodes)s, %(states)s, %(created_at)s, %(released_at)s,
              %(acknowledged_at)s, %(warehouse_refs)s);

-- assignments --
-- How known assignments stand now.
update assignments as a
   set state = t.state,
       released_at = t.released_at,
       acknowledged_at = t.acknowledged_at,
       warehouse_ref = t.warehouse_ref
  from unnest(%(order_ids)s, %(assignment_nos)s, %(states)s, %(released_at)s, %(acknowledged_at)s, %(warehouse_refs)s)
       as t (order_id, assignment_no, state, released_at, acknowledged_at, warehouse_ref)
 where a.part = %(part)s
   and a.order_id = t.order_id
   and a.assignment_no = t.assignment_no;

-- new_reservations --
-- Reservations that were not there.
insert into reservations
       (part, order_id, line_no, assignment_no, sku, node, quantity,
        allocated, released, packed, shipped, canceled, rejected)
select %(part)s, *
  from unnest(%(order_ids)s, %(line_nos)s, %(assignment_nos)s, %(skus)s, %(nodes)s, %(quantities)s,
              %(allocated)s, %(released)s, %(packed)s, %(shipped)s, %(canceled)s, %(rejected)s);

-- reservations --
-- What became of the units of known reservations.
update reservations as r
   set allocated = t.allocated,
       released = t.released,
       packed = t.packed,
       shipped = t.shipped,
       canceled = t.canceled,
       rejected = t.rejected
  from unnest(%(order_ids)s, %(line_nos)s, %(assignment_nos)s, %(allocated)s, %(released)s, %(packed)s, %(shipped)s,
              %(canceled)s, %(rejected)s)
       as t (order_id, line_no, assignment_no, allocated, released, packed, shipped, canceled, rejected)
 where r.part = %(part)s
   and r.order_id = t.order_id
   and r.line_no = t.line_no
   and r.assignment_no = t.assignment_no;

-- shipments --
-- What left.
insert into shipments (part, order_id, shipment_no, assignment_no, node, ref, shipped_at)
select %(part)s, *
  from unnest(%(order_ids)s, %(shipment_nos)s, %(assignment_nos)s, %(nodes)s, %(refs)s, %(shipped_at)s);

-- shipment_lines --
-- Which units left.
insert into shipment_lines (part, order_id, shipment_no, line_no, quantity)
select %(part)s, *
  from unnest(%(order_ids)s, %(shipment_nos)s, %(line_nos)s, %(quantities)s);

-- packages --
-- In which packages.
insert into packages (part, order_id, shipment_no, package_no, tracking, carrier)
select %(part)s, *
  from unnest(%(order_ids)s, %(shipment_nos)s, %(package_nos)s, %(trackings)s, %(carriers)s);

-- return_lines --
-- What may come back, and what of it came.
insert into return_lines (part, order_id, ref, line_no, due, received)
select %(part)s, *
  from unnest(%(order_ids)s, %(refs)s, %(line_nos)s, %(due)s, %(received)s)
    on conflict (part, order_id, ref, line_no) do update
   set due = excluded.due,
       received = excluded.received;

-- events --
-- What happened. The key refuses two events of one number. Positions go on from the part's last: who holds the part is alone.
insert into events (part, order_id, seq, type, body, message_id, system, occurred_at, recorded_at, position)
select %(part)s, order_id, seq, type, body, message_id, system, occurred_at, %(now)s,
       (select coalesce(max(e.position), 0) from events as e where e.part = %(part)s) + place
  from unnest(%(order_ids)s, %(seqs)s, %(types)s, %(bodies)s, %(message_ids)s, %(systems)s, %(occurred_at)s)
       with ordinality as t (order_id, seq, type, body, message_id, system, occurred_at, place);

-- outbox --
-- What receivers must be told.
insert into outbox (part, order_id, seq, receiver, message, assignment_no, body, created_at, due_at, answer_due_at)
select %(part)s, order_id, seq, receiver, message, assignment_no, body, %(now)s, %(now)s, answer_due_at
  from unnest(%(order_ids)s, %(seqs)s, %(receivers)s, %(messages)s, %(assignment_nos)s, %(bodies)s, %(answer_due_at)s)
       as t (order_id, seq, receiver, message, assignment_no, body, answer_due_at);

-- answered --
-- The releases of these assignments were answered: their clocks stop.
update outbox as o
   set answered_at = %(now)s
  from unnest(%(order_ids)s, %(assignment_nos)s) as t (order_id, assignment_no)
 where o.part = %(part)s
   and o.order_id = t.order_id
   and o.assignment_no = t.assignment_no
   and o.message = 'shipment.release'
   and o.answered_at is null;

-- exceptions --
-- Work for a person; the same trouble again is counted, and opened again if it was closed.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, message_id, owner, opened_at, due_at, last_seen_at)
select %(part)s, subject, exception_id, reason, explanation, system, message_id, owner, %(now)s, due_at, %(now)s
  from unnest(%(subjects)s, %(exception_ids)s, %(reasons)s, %(explanations)s, %(systems)s, %(message_ids)s,
              %(owners)s, %(due_at)s)
       as t (subject, exception_id, reason, explanation, system, message_id, owner, due_at)
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;
