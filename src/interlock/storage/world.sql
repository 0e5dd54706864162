-- orders_many --
-- Orders by id.
select order_id, system, channel, number, currency, placed_at, created_at, time_zone, word, fulfillment,
       destination::text, pickup_node, customer, recipient::text, total, tax, shipping, seq, hold_attempts, closed_at, wake_at
  from orders
 where part = %(part)s
   and order_id = any(%(order_ids)s);

-- lines_many --
-- The lines of orders.
select order_id, line_no, sku, quantity, uom, unit_price, source_sku,
       open, allocated, released, packed, shipped, canceled, returned, refunded, return_due
  from lines
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, line_no;

-- payments_many --
-- The payments of orders.
select order_id, authorized, captured, refunded
  from payments
 where part = %(part)s
   and order_id = any(%(order_ids)s);

-- assignments_many --
-- The assignments of orders.
select order_id, assignment_no, node, created_at, released_at, acknowledged_at, warehouse_ref
  from assignments
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, assignment_no;

-- reservations_many --
-- The reservations of orders.
select order_id, line_no, assignment_no, sku, node, quantity, allocated, released, packed, shipped, canceled, rejected
  from reservations
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, assignment_no, line_no;

-- shipments_many --
-- The shipments of orders, with what was in them.
select s.order_id, s.shipment_no, s.assignment_no, s.node, s.ref, s.shipped_at,
       (select array_agg(l.line_no order by l.line_no) from shipment_lines as l
         where l.part = %(part)s and l.order_id = s.order_id and l.shipment_no = s.shipment_no),
       (select array_agg(l.quantity order by l.line_no) from shipment_lines as l
         where l.part = %(part)s and l.order_id = s.order_id and l.shipment_no = s.shipment_no)
  from shipments as s
 where s.part = %(part)s
   and s.order_id = any(%(order_ids)s)
 order by s.order_id, s.shipment_no;

-- packages_many --
-- The packages of orders' shipments.
select order_id, shipment_no, package_no, tracking, carrier
  from packages
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, shipment_no, package_no;

-- returns_many --
-- The returns of orders.
select order_id, ref, line_no, due, received
  from return_lines
 where part = %(part)s
   and order_id = any(%(order_ids)s)
 order by order_id, ref, line_no;

-- positions_many --
-- All nodes of these SKUs: what sourcing compares. Not locked: what is taken on this sight is taken under a condition.
-- The offset keeps the lookup a walk of the key, however large or small the table is and whatever its statistics say.
select asked.sku, p.*
  from unnest(%(parts)s, %(skus)s) as asked (part, sku)
 cross join lateral (
       select node, physical, unsellable, reserved, excluded_until
         from positions
        where part = asked.part
          and sku = asked.sku
       offset 0) as p;

-- positions_many_locked --
-- The same, locked in the one order that everybody keeps (part, sku, node): nothing of it changes before we commit.
select asked.sku, p.*
  from unnest(%(parts)s, %(skus)s) as asked (part, sku)
 cross join lateral (
       select node, physical, unsellable, reserved, excluded_until
         from positions
        where part = asked.part
          and sku = asked.sku
        order by node
          for update) as p;

-- node_days_many --
-- Orders that nodes were given on their day so far.
select d.node, d.orders
  from unnest(%(parts)s, %(nodes)s, %(days)s::date[]) as asked (part, node, day)
  join node_days as d
    on d.part = asked.part
   and d.node = asked.node
   and d.day = asked.day;

-- new_node_days --
-- Days that have no row yet, so that they can be locked like all others.
insert into node_days (part, node, day, orders)
select part, node, day, 0
  from unnest(%(parts)s, %(nodes)s, %(days)s::date[]) as t (part, node, day)
 order by part, node, day
    on conflict (part, node, day) do nothing;

-- node_days_many_locked --
-- The same, locked in the one order that everybody keeps.
select d.node, d.orders
  from unnest(%(parts)s, %(nodes)s, %(days)s::date[]) as asked (part, node, day)
  join node_days as d
    on d.part = asked.part
   and d.node = asked.node
   and d.day = asked.day
 order by d.part, d.node, d.day
   for update of d;
