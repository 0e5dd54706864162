-- broken_promises --
-- Positions where outside truth fell below what is promised: work for a person, in the stock family's part.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select part, sku, reason || '/' || node, reason, explanation, '', owner, %(now)s, due_at, %(now)s
  from unnest(%(parts)s, %(skus)s, %(nodes)s, %(reasons)s, %(explanations)s, %(owners)s, %(due_at)s)
       as t (part, sku, node, reason, explanation, owner, due_at)
 order by part, sku, node
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- new_positions --
-- Positions that were not there: empty, so that they can be moved like all others.
insert into positions (part, sku, node, physical, unsellable, reserved, changed_at)
select part, sku, node, 0, 0, 0, %(now)s
  from unnest(%(parts)s, %(skus)s, %(nodes)s) as t (part, sku, node)
 order by part, sku, node
    on conflict (part, sku, node) do nothing;

-- exclusions --
-- Sourcing leaves these nodes out for these SKUs for a time.
update positions as p
   set excluded_until = t.until,
       excluded_reason = t.reason
  from unnest(%(parts)s, %(skus)s, %(nodes)s, %(untils)s, %(reasons)s) as t (part, sku, node, until, reason)
 where p.part = t.part
   and p.sku = t.sku
   and p.node = t.node;

-- node_days --
-- Give nodes orders of their day, within their capacity; a node that is full gives no row back.
insert into node_days as known (part, node, day, orders)
select part, node, day, given
  from unnest(%(parts)s, %(nodes)s, %(days)s::date[], %(given)s, %(capacities)s)
       as t (part, node, day, given, capacity)
 where given <= capacity
 order by part, node, day
    on conflict (part, node, day) do update
   set orders = known.orders + excluded.orders
 where known.orders + excluded.orders <=
       (select t.capacity
          from unnest(%(nodes)s, %(days)s::date[], %(capacities)s) as t (node, day, capacity)
         where t.node = known.node and t.day = known.day)
returning node;

-- movements --
-- What changes positions, one row for each cause; and lock the positions that they change, in the one order that everybody
-- keeps. Stock is locked last of all, so that hot rows are held for a moment only.
with written as (
    insert into movements (part, sku, node, cause, kind, physical, unsellable, reserved, recorded_at)
    select part, sku, node, cause, kind, physical, unsellable, reserved, %(now)s
      from unnest(%(parts)s, %(skus)s, %(nodes)s, %(causes)s, %(kinds)s, %(physicals)s, %(unsellables)s, %(reserveds)s)
           as t (part, sku, node, cause, kind, physical, unsellable, reserved)
)
select count(*)
  from unnest(%(position_parts)s, %(position_skus)s, %(position_nodes)s) as asked (part, sku, node)
 cross join lateral (
       select
         from positions
        where part = asked.part
          and sku = asked.sku
          and node = asked.node
          for update) as held;

-- positions --
-- Change them. What would take a node below its sellable quantity changes nothing and is missing in the count.
-- The rows that come back are those where less is available than is promised.
with moved as (
    update positions as p
       set physical = p.physical + asked.physical,
           unsellable = p.unsellable + asked.unsellable,
           reserved = p.reserved + asked.reserved,
           changed_at = %(now)s
      from unnest(%(parts)s, %(skus)s, %(nodes)s, %(physicals)s, %(unsellables)s, %(reserveds)s, %(floors)s)
           as asked (part, sku, node, physical, unsellable, reserved, floor)
     where p.part = asked.part
       and p.sku = asked.sku
       and p.node = asked.node
       -- A floor is given where units are promised: what is left then must not be less.
       and (asked.floor is null
            or p.physical + asked.physical - p.unsellable - asked.unsellable - p.reserved - asked.reserved >= asked.floor)
    returning p.sku, p.node, p.physical, p.unsellable, p.reserved
)
select (select count(*) from moved), b.sku, b.node, b.physical - b.unsellable, b.reserved
  from (select) as always
  left join moved as b
    on b.reserved > b.physical - b.unsellable;
