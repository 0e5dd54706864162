-- columns --
-- The columns of a table with their types, in order.
select attname, format_type(atttypid, null)
  from pg_attribute
 where attrelid = (%(table)s::text)::regclass
   and attnum > 0
   and not attisdropped
 order by attnum;

-- index_causes --
-- Made after the engine was measured, in its database alone: find an order's movements by their cause.
create index bench_causes on movements (split_part(cause, '/', 1));
