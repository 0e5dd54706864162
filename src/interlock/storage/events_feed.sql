-- Reading the history of all orders in the order of its commits: the numbers of `events.position` inside of each part.
-- Who writes into a part is alone in it until he has committed, so what is there up to a part's last number is all of it.

-- heads --
-- The last position of each part.
-- reads all parts: a consumer reads all of history
select p.part, coalesce((select max(e.position) from events as e where e.part = p.part), 0)
  from unnest(%(parts)s) as p (part);

-- read_many --
-- The events of a range of positions of each part, as far as they are wanted.
-- reads all parts: a consumer reads all of history
select e.part, e.position, e.order_id, e.seq, e.type, e.body, e.message_id, e.system, e.occurred_at, e.recorded_at, e.trace_id
  from unnest(%(parts)s, %(afters)s, %(untils)s) as r (part, after, until)
 cross join lateral (
           select e.part, e.position, e.order_id, e.seq, e.type, e.body::text as body, e.message_id, e.system, e.occurred_at,
                  e.recorded_at, m.trace_id
             from events as e
             left join messages as m
               on m.part = e.part
              and m.subject = e.order_id
              and m.message_id = e.message_id
            where e.part = r.part
              and e.position > r.after
              and e.position <= r.until
              and (%(all_types)s or e.type = any(%(types)s))
              and (%(all_systems)s or e.system = any(%(systems)s))
              and (%(all_channels)s or exists (
                      select
                        from orders as o
                       where o.part = e.part
                         and o.order_id = e.order_id
                         and o.channel = any(%(channels)s)
                  ))
            order by e.position
            limit r.until - r.after
       ) as e
 order by e.part, e.position;

-- read_order --
-- The events of one order after a position and up to another.
select e.part, e.position, e.order_id, e.seq, e.type, e.body::text, e.message_id, e.system, e.occurred_at, e.recorded_at,
       m.trace_id
  from events as e
  left join messages as m
    on m.part = e.part
   and m.subject = e.order_id
   and m.message_id = e.message_id
 where e.part = %(part)s
   and e.order_id = %(order_id)s
   and e.position > %(after)s
   and e.position <= %(until)s
   and (%(all_types)s or e.type = any(%(types)s))
   and (%(all_systems)s or e.system = any(%(systems)s))
   and (%(all_channels)s or exists (
           select
             from orders as o
            where o.part = e.part
              and o.order_id = e.order_id
              and o.channel = any(%(channels)s)
       ))
 order by e.seq
 limit %(limit)s;
