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
