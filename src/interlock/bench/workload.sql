-- seed_positions --
-- What is in stock before anything is measured.
insert into positions (part, sku, node, physical, unsellable, reserved, changed_at)
select part, sku, node, units, 0, 0, %(now)s
  from unnest(%(parts)s, %(skus)s, %(nodes)s, %(units)s) as t (part, sku, node, units);

-- seed_movements --
-- Why it is there, so that positions equal the sum of their movements.
insert into movements (part, sku, node, cause, kind, physical, unsellable, reserved, recorded_at)
select part, sku, node, 'seed', 'count', units, 0, 0, %(now)s
  from unnest(%(parts)s, %(skus)s, %(nodes)s, %(units)s) as t (part, sku, node, units);
