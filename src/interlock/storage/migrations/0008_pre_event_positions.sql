-- Events are numbered inside of their part, in the order of their commits, so that a consumer can say up to where it has read.

alter table events add column position bigint;

-- What is there already is numbered by time; an order's events stay in their order, whatever the clock did between them.
update events as e
   set position = t.position
  from (
           select part, order_id, seq,
                  row_number() over (partition by part order by recorded_by, order_id, seq) as position
             from (
                      select part, order_id, seq,
                             max(recorded_at) over (partition by part, order_id order by seq) as recorded_by
                        from events
                  ) as stamped
       ) as t
 where e.part = t.part
   and e.order_id = t.order_id
   and e.seq = t.seq;

alter table events alter column position set not null;

create unique index events_by_position on events (part, position);
