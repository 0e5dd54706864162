-- Interlock's books as the simulation reads them, once, at its end.

-- order_ids --
-- Every order of a part.
select order_id from orders where part = %(part)s;

-- physical --
-- What stands at each node.
-- reads all parts: the simulation is one
select sku, node, physical from positions where part = any(%(parts)s);

-- open_exceptions --
-- Work for people that is not done.
-- reads all parts: the simulation is one
select subject, exception_id from exceptions where part = any(%(parts)s) and closed_at is null;

-- any_message --
-- Whether the database holds anything.
-- reads all parts: the simulation is one
select 1 from messages where part = any(%(parts)s) limit 1;
