-- What the edges of stores said last of what waits there. `part` is part_of(system/edge).

-- save_many --
-- Keep the newest report of each edge.
insert into edges as known (part, system, edge, waiting, oldest_at, seen_at)
select part, system, edge, waiting, oldest_at, seen_at
  from unnest(%(parts)s, %(systems)s, %(names)s, %(waiting)s, %(oldest_at)s, %(seen_at)s)
       as t (part, system, edge, waiting, oldest_at, seen_at)
 order by part, system, edge
    on conflict (part, system, edge) do update
   set waiting = excluded.waiting,
       oldest_at = excluded.oldest_at,
       seen_at = excluded.seen_at
 where known.seen_at <= excluded.seen_at;

-- waiting --
-- The edges of a part where something waits.
select system, edge, waiting, oldest_at, seen_at
  from edges
 where part = %(part)s
   and waiting > 0;
