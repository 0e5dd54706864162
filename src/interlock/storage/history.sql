-- What was recorded, read again as it took effect. Nothing here writes, and all of it is one snapshot.
--
-- A message took effect when its batch did: at `settled_at`; one that was parked and went on was there before that, from when
-- the ledger saw it first. Messages of one batch have one time and one part.


-- one_snapshot --
-- The first statement of the transaction: all that follows reads one snapshot, and cannot write.
set transaction isolation level repeatable read, read only;

-- more_memory --
-- For this transaction only: history is sorted as a whole.
set local work_mem = '128MB';

-- open_messages --
-- Messages that took effect in a range, in the order in which they did.
-- reads all parts: history is what happened in all of them
declare history_messages no scroll cursor for
select case when l.first_seen_at < m.settled_at then l.first_seen_at else m.settled_at end as effective_at,
       m.part, m.message_id, m.system, m.received_at, m.content_type, m.body, m.action, m.subject, m.business_key,
       m.outcome, m.reason, m.source_message_id, m.file, m.record, m.contract, m.context::text, m.trace_id
  from messages as m
  left join ledger as l
    on l.part = m.part
   and l.subject = m.subject
   and l.action = m.action
   and l.business_key = m.business_key
   and l.first_message = m.message_id
 where m.outcome is not null
   and (%(since)s::timestamptz is null or m.settled_at >= %(since)s)
   and (%(until)s::timestamptz is null
        or case when l.first_seen_at < m.settled_at then l.first_seen_at else m.settled_at end < %(until)s)
 order by effective_at, m.part, m.message_id;

-- next_messages --
-- Some more of them.
fetch 4000 from history_messages;

-- close_messages --
-- That was all.
close history_messages;

-- timers --
-- When time acted on orders in the range: each with the number of the event that it followed.
-- reads all parts: history is what happened in all of them
select subject, business_key, settled_at
  from messages
 where system = 'interlock'
   and outcome is not null
   and (%(since)s::timestamptz is null or settled_at >= %(since)s)
   and (%(until)s::timestamptz is null or settled_at < %(until)s);

-- files --
-- The names of files by what they hold, and what their rows are.
-- reads all parts: history is what happened in all of them
select system, sha256, name, records_kind
  from files;

-- open_events --
-- What happened to orders up to a time, order by order.
-- reads all parts: history is what happened in all of them
declare history_events no scroll cursor for
select order_id, type, body::text, recorded_at
  from events
 where %(until)s::timestamptz is null
    or recorded_at < %(until)s
 order by order_id, seq;

-- next_events --
-- Some more of it.
fetch 10000 from history_events;

-- close_events --
-- That was all.
close history_events;

-- events_before --
-- The events, before a time, of orders that have messages since then.
-- reads all parts: history is what happened in all of them
select e.order_id, e.type, e.body::text
  from events as e
 where e.recorded_at < %(since)s
   and exists (
           select
             from messages as m
            where m.part = e.part
              and m.subject = e.order_id
              and m.settled_at >= %(since)s
       )
 order by e.order_id, e.seq;

-- waking --
-- When time acts next on orders to which nothing happened since a time.
-- reads all parts: history is what happened in all of them
select order_id, seq, wake_at
  from orders
 where wake_at is not null;

-- positions_before --
-- Stock at a time: the sum of what had moved by then.
-- reads all parts: history is what happened in all of them
select sku, node, sum(physical) as physical, sum(unsellable) as unsellable, sum(reserved) as reserved
  from movements
 where recorded_at < %(since)s
 group by sku, node;

-- exclusions --
-- Nodes that sourcing leaves out for a SKU, where that was decided before a time.
-- reads all parts: history is what happened in all of them
select sku, node, excluded_until
  from positions
 where excluded_until > %(since)s
   and not exists (
           select
             from movements as m
            where m.part = positions.part
              and m.sku = positions.sku
              and m.node = positions.node
              and m.recorded_at >= %(since)s
       );

-- rejections_before --
-- What nodes could not ship before a time, for which sourcing left them out afterwards.
-- reads all parts: history is what happened in all of them
select l.sku, a.node, o.channel, e.recorded_at
  from events as e
 cross join json_array_elements(e.body -> 'units') as unit
  join orders as o
    on o.part = e.part
   and o.order_id = e.order_id
  join lines as l
    on l.part = e.part
   and l.order_id = e.order_id
   and l.line_no = (unit ->> 'line_no')::int
  join assignments as a
    on a.part = e.part
   and a.order_id = e.order_id
   and a.assignment_no = (e.body ->> 'assignment_no')::int
 where e.type = 'units.rejected'
   and e.recorded_at < %(since)s
   and e.recorded_at >= %(since)s::timestamptz - interval '30 days'
 order by e.recorded_at;

-- ledger_before --
-- What had been asked before a time, of what is asked about since then.
-- reads all parts: history is what happened in all of them
select l.subject, l.action, l.business_key, l.payload_hash, l.outcome, l.answer::text
  from ledger as l
 where l.first_seen_at < %(since)s
   and exists (
           select
             from messages as m
            where m.part = l.part
              and m.subject = l.subject
              and m.settled_at >= %(since)s
       );

-- versions_before --
-- The newest statements of sources before a time; what was stated since then has taken the place of what was there.
-- reads all parts: history is what happened in all of them
select subject, fact, system, number
  from versions
 where changed_at < %(since)s;

-- allocations_before --
-- Orders that nodes were given before a time, by the node and the time: for their daily capacities.
-- reads all parts: history is what happened in all of them
select a.node, a.created_at
  from assignments as a
 where a.created_at < %(since)s
   and a.created_at >= %(since)s::timestamptz - interval '2 days';

-- exceptions --
-- What was shown to people in a range.
-- reads all parts: history is what happened in all of them
select subject, reason
  from exceptions
 where (%(since)s::timestamptz is null or last_seen_at >= %(since)s)
   and (%(until)s::timestamptz is null or opened_at < %(until)s);

-- sent --
-- How many messages went to each receiver in a range, by what they are.
-- reads all parts: history is what happened in all of them
select receiver, message, count(*)
  from outbox
 where (%(since)s::timestamptz is null or created_at >= %(since)s)
   and (%(until)s::timestamptz is null or created_at < %(until)s)
 group by receiver, message
 order by receiver, message;
