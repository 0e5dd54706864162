-- What is read to fold every order's history again, a few hundred orders at a time.

-- count_orders --
-- How many orders there are to fold.
-- reads all parts: the audit proves every row
select count(*)
  from orders;

-- parts_of_orders --
-- The parts that hold orders: the 64 that are worked, and none else.
-- reads all parts: the audit proves every row
select distinct part
  from orders
 order by part;

-- orders_after --
-- The next orders of a part.
select order_id
  from orders
 where part = %(part)s
   and order_id > %(order_id)s
 order by order_id
 limit %(limit)s;

-- events_many --
-- The history of orders, in its order.
select order_id, type, body::text
  from events
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, seq;

-- orders_many --
-- The orders themselves.
select order_id, system, channel, number, currency, placed_at, created_at, time_zone, word, fulfillment,
       destination::text, pickup_node, customer, recipient::text, total, tax, shipping, seq, hold_attempts, closed_at
  from orders
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id;

-- lines_many --
-- Their lines, column by column as model.Line has them.
select order_id, line_no, sku, quantity, uom, unit_price, source_sku,
       open, allocated, released, packed, shipped, canceled, returned, refunded, return_due
  from lines
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, line_no;

-- payments_many --
-- Their payments.
select order_id, currency, authorized, captured, refunded
  from payments
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id;

-- assignments_many --
-- Their assignments.
select order_id, assignment_no, node, created_at, released_at, acknowledged_at, warehouse_ref
  from assignments
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, assignment_no;

-- reservations_many --
-- Their reservations, column by column as model.Reservation has them.
select order_id, line_no, assignment_no, sku, node, quantity, allocated, released, packed, shipped, canceled, rejected
  from reservations
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, line_no, assignment_no;

-- shipments_many --
-- Their shipments.
select order_id, shipment_no, assignment_no, node, ref, shipped_at
  from shipments
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, shipment_no;

-- shipment_lines_many --
-- What was in their shipments.
select order_id, shipment_no, line_no, quantity
  from shipment_lines
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, shipment_no, line_no;

-- packages_many --
-- The packages of their shipments.
select order_id, shipment_no, package_no, tracking, carrier
  from packages
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, shipment_no, package_no;

-- return_lines_many --
-- What may come back of them. Compared with rows that were sorted by code point, hence the collation.
select order_id, ref, line_no, due, received
  from return_lines
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, ref collate "C", line_no;
