-- What is always true, as queries: each finds the rows that break one rule, and finds none where all is well.
--
-- An audit reads everything, so none of these stays in one part; but every join of the order family is by part, and only
-- `reserved_sums` crosses from the order family to the stock family. Nothing here writes.
-- Parameters: now, and what the estate says (arrays; only asked where an estate is given).


-- one_snapshot --
-- The first statement of the transaction: all that follows reads one snapshot, and cannot write.
set transaction isolation level repeatable read, read only;

-- more_memory --
-- For this transaction only: sums over whole tables go to the server's disk later.
set local work_mem = '64MB';


-- 1. stock balances --------------------------------------------------------------------------------------------------------

-- position_sums --
-- A position is the sum of its movements, layer by layer, and movements have a position.
-- reads all parts: the audit proves every row
with moved as (
    select part, sku, node, sum(physical) as physical, sum(unsellable) as unsellable, sum(reserved) as reserved
      from movements
     group by part, sku, node
)
select part, sku, node, p.physical, p.unsellable, p.reserved,
       m.physical as moved_physical, m.unsellable as moved_unsellable, m.reserved as moved_reserved
  from positions as p
  full join moved as m using (part, sku, node)
 where (p.physical, p.unsellable, p.reserved)
       is distinct from (coalesce(m.physical, 0), coalesce(m.unsellable, 0), coalesce(m.reserved, 0));

-- reserved_sums --
-- What a position has reserved is what reservations hold there: allocated, released and packed units.
-- reads all parts: the audit proves every row
with held as (
    select sku, node, sum(allocated + released + packed) as held
      from reservations
     where allocated + released + packed > 0
     group by sku, node
)
select p.part, sku, node, coalesce(p.reserved, 0) as reserved, coalesce(h.held, 0) as held
  from positions as p
  full join held as h using (sku, node)
 where coalesce(p.reserved, 0) <> coalesce(h.held, 0);

-- skus_after --
-- SKUs and the part that their positions are in, so that the part can be checked against the published hash.
select distinct part, sku
  from positions
 where (part, sku) > (%(part)s, %(sku)s)
 order by part, sku
 limit %(limit)s;


-- 2. no oversell -----------------------------------------------------------------------------------------------------------

-- oversold_unseen --
-- More is promised than there is (or there is less than nothing), and no open exception says so.
-- reads all parts: the audit proves every row
select p.part, p.sku, p.node, p.physical, p.unsellable, p.reserved
  from positions as p
 where p.reserved > p.physical - p.unsellable
   and not exists (
           select
             from exceptions as e
            where e.part = p.part
              and e.subject = p.sku
              and e.exception_id = case when p.reserved > 0 then 'promise_broken/' else 'negative_stock/' end || p.node
              and e.closed_at is null
       );

-- capacity_exceeded --
-- A node was given more orders than its capacity, today or yesterday (earlier days had the capacity of their time).
-- reads all parts: the audit proves every row
select d.part, d.node, d.day, d.orders, t.capacity
  from unnest(%(nodes)s, %(days)s::date[], %(capacities)s) as t (node, day, capacity)
  join node_days as d
    on d.node = t.node
   and d.day between t.day - 1 and t.day
 where d.orders > t.capacity;


-- 3. units are conserved ---------------------------------------------------------------------------------------------------

-- line_sums --
-- A line's seven counts add up to what was ordered, and none is below zero.
-- reads all parts: the audit proves every row
select part, order_id, line_no, sku, quantity, open, allocated, released, packed, shipped, canceled, returned
  from lines
 where open + allocated + released + packed + shipped + canceled + returned <> quantity
    or least(open, allocated, released, packed, shipped, canceled, returned, refunded, return_due) < 0;

-- reservation_sums --
-- A reservation's six counts add up to what was reserved, and none is below zero.
-- reads all parts: the audit proves every row
select part, order_id, line_no, assignment_no, sku, node, quantity,
       allocated, released, packed, shipped, canceled, rejected
  from reservations
 where allocated + released + packed + shipped + canceled + rejected <> quantity
    or least(allocated, released, packed, shipped, canceled, rejected) < 0;

-- lines_and_reservations --
-- A line's held units are those of its reservations; what its reservations shipped is shipped or came back; what they
-- canceled is canceled (open units are canceled without a reservation).
-- reads all parts: the audit proves every row
with held as (
    select part, order_id, line_no, sum(allocated) as allocated, sum(released) as released, sum(packed) as packed,
           sum(shipped) as shipped, sum(canceled) as canceled
      from reservations
     group by part, order_id, line_no
)
select part, order_id, line_no, l.allocated, l.released, l.packed, l.shipped, l.returned, l.canceled,
       coalesce(h.allocated, 0) as reservations_allocated, coalesce(h.released, 0) as reservations_released,
       coalesce(h.packed, 0) as reservations_packed, coalesce(h.shipped, 0) as reservations_shipped,
       coalesce(h.canceled, 0) as reservations_canceled
  from lines as l
  left join held as h using (part, order_id, line_no)
 where l.allocated <> coalesce(h.allocated, 0)
    or l.released <> coalesce(h.released, 0)
    or l.packed <> coalesce(h.packed, 0)
    or l.shipped + l.returned <> coalesce(h.shipped, 0)
    or l.canceled < coalesce(h.canceled, 0);

-- shipped_sums --
-- What a reservation shipped is what stands in its assignment's shipments.
-- reads all parts: the audit proves every row
with gone as (
    select s.part, s.order_id, sl.line_no, s.assignment_no, sum(sl.quantity) as units
      from shipments as s
      join shipment_lines as sl using (part, order_id, shipment_no)
     group by s.part, s.order_id, sl.line_no, s.assignment_no
)
select part, order_id, line_no, assignment_no, coalesce(r.shipped, 0) as reservation_shipped,
       coalesce(g.units, 0) as shipments_shipped
  from (select part, order_id, line_no, assignment_no, shipped from reservations where shipped <> 0) as r
  full join gone as g using (part, order_id, line_no, assignment_no)
 where coalesce(r.shipped, 0) <> coalesce(g.units, 0);

-- return_sums --
-- What a line still awaits back is what its returns still await.
-- reads all parts: the audit proves every row
with awaited as (
    select part, order_id, line_no, sum(greatest(0, due - received)) as units
      from return_lines
     group by part, order_id, line_no
)
select part, order_id, line_no, l.return_due, coalesce(a.units, 0) as returns_due
  from (select part, order_id, line_no, return_due from lines where return_due <> 0) as l
  full join awaited as a using (part, order_id, line_no)
 where coalesce(l.return_due, 0) <> coalesce(a.units, 0);

-- orphans --
-- Every row of the order family belongs to one that exists; and says the same of it. There are no foreign keys: this is
-- their proof.
-- reads all parts: the audit proves every row
select 'lines' as orphan, part, order_id, line_no::text as key, 'orders' as lacks
  from lines as c
 where not exists (select from orders as o where o.part = c.part and o.order_id = c.order_id)
 union all
select 'assignments', part, order_id, assignment_no::text, 'orders'
  from assignments as c
 where not exists (select from orders as o where o.part = c.part and o.order_id = c.order_id)
 union all
select 'payments', part, order_id, '', 'orders of that currency'
  from payments as c
 where not exists (
           select from orders as o where o.part = c.part and o.order_id = c.order_id and o.currency = c.currency)
 union all
select 'events', part, order_id, seq::text, 'orders'
  from events as c
 where not exists (select from orders as o where o.part = c.part and o.order_id = c.order_id)
 union all
select 'reservations', part, order_id, line_no || '/' || assignment_no, 'lines of that sku'
  from reservations as c
 where not exists (
           select from lines as l
            where l.part = c.part and l.order_id = c.order_id and l.line_no = c.line_no and l.sku = c.sku)
 union all
select 'reservations', part, order_id, line_no || '/' || assignment_no, 'assignments at that node'
  from reservations as c
 where not exists (
           select from assignments as a
            where a.part = c.part and a.order_id = c.order_id and a.assignment_no = c.assignment_no
              and a.node = c.node)
 union all
select 'shipments', part, order_id, shipment_no::text, 'assignments at that node'
  from shipments as c
 where not exists (
           select from assignments as a
            where a.part = c.part and a.order_id = c.order_id and a.assignment_no = c.assignment_no
              and a.node = c.node)
 union all
select 'shipment_lines', part, order_id, shipment_no || '/' || line_no, 'shipments'
  from shipment_lines as c
 where not exists (
           select from shipments as s
            where s.part = c.part and s.order_id = c.order_id and s.shipment_no = c.shipment_no)
 union all
select 'shipment_lines', part, order_id, shipment_no || '/' || line_no, 'lines'
  from shipment_lines as c
 where not exists (
           select from lines as l where l.part = c.part and l.order_id = c.order_id and l.line_no = c.line_no)
 union all
select 'packages', part, order_id, shipment_no || '/' || package_no, 'shipments'
  from packages as c
 where not exists (
           select from shipments as s
            where s.part = c.part and s.order_id = c.order_id and s.shipment_no = c.shipment_no)
 union all
select 'return_lines', part, order_id, ref || '/' || line_no, 'lines'
  from return_lines as c
 where not exists (
           select from lines as l where l.part = c.part and l.order_id = c.order_id and l.line_no = c.line_no)
 union all
select 'outbox', part, order_id, seq || '/' || receiver || '/' || message || '/' || assignment_no, 'events'
  from outbox as c
 where not exists (select from events as e where e.part = c.part and e.order_id = c.order_id and e.seq = c.seq)
 union all
select 'outbox', part, order_id, seq || '/' || receiver || '/' || message || '/' || assignment_no, 'assignments'
  from outbox as c
 where c.assignment_no > 0                             -- 0: it is about the order as a whole
   and not exists (
           select from assignments as a
            where a.part = c.part and a.order_id = c.order_id and a.assignment_no = c.assignment_no);

-- childless --
-- Every order has a line and a payment, every assignment a reservation, every shipment a line.
-- reads all parts: the audit proves every row
select 'orders' as childless, part, order_id, '' as key, 'lines' as lacks
  from orders as p
 where not exists (select from lines as l where l.part = p.part and l.order_id = p.order_id)
 union all
select 'orders', part, order_id, '', 'payments'
  from orders as p
 where not exists (select from payments as m where m.part = p.part and m.order_id = p.order_id)
 union all
select 'assignments', part, order_id, assignment_no::text, 'reservations'
  from assignments as p
 where not exists (
           select from reservations as r
            where r.part = p.part and r.order_id = p.order_id and r.assignment_no = p.assignment_no)
 union all
select 'shipments', part, order_id, shipment_no::text, 'shipment_lines'
  from shipments as p
 where not exists (
           select from shipment_lines as l
            where l.part = p.part and l.order_id = p.order_id and l.shipment_no = p.shipment_no);

-- order_states --
-- An order's state is that of its units that have come least far: model.Order.state, said again in SQL.
-- reads all parts: the audit proves every row
with units as (
    select part, order_id,
           min(case when open > 0 then 0
                    when allocated > 0 then 2
                    when released > 0 then 3
                    when packed > 0 then 4
                    when shipped > 0 then 5
                    when returned > 0 then 8
                    else 7 end) as least
      from lines
     group by part, order_id
),
derived as (
    select o.part, o.order_id, o.state,
           case when o.closed_at is not null then 'closed'
                when u.least = 0 then case when p.authorized >= o.total then 'authorized' else 'created' end
                when u.least = 2 then 'allocated'
                when u.least = 3 then 'released'
                when u.least = 4 then 'packed'
                when u.least = 5 then 'shipped'
                when p.refunded > 0 then 'refunded'
                when u.least = 7 then 'canceled'
                else 'returned' end as of_units
      from orders as o
      join units as u using (part, order_id)
      left join payments as p using (part, order_id)
)
select part, order_id, state, of_units
  from derived
 where state <> of_units;

-- assignment_states --
-- An assignment's state is that of its units that have come least far: model.Order.assignment_state, said again in SQL.
-- reads all parts: the audit proves every row
with derived as (
    select part, order_id, assignment_no,
           case when sum(allocated) > 0 then 'allocated'
                when sum(released) > 0 then 'released'
                when sum(packed) > 0 then 'packed'
                when sum(shipped) > 0 then 'shipped'
                else 'canceled' end as of_units
      from reservations
     group by part, order_id, assignment_no
)
select part, order_id, assignment_no, a.state, d.of_units
  from assignments as a
  join derived as d using (part, order_id, assignment_no)
 where a.state <> d.of_units;


-- 4. nothing vanishes ------------------------------------------------------------------------------------------------------

-- outcomes --
-- A settled message has one outcome of the list, a request that it was read as, and a time; what waits or is parked keeps
-- its command; what is parked, and nothing else, names what it waits for.
-- reads all parts: the audit proves every row
select part, subject, message_id, system, action, outcome, settled_at, waits_for, command is not null as has_command
  from messages
 where (outcome is null) <> (settled_at is null)
    or outcome not in ('processed', 'duplicate', 'stale', 'parked', 'conflict', 'refused', 'quarantined')
    or (outcome is distinct from 'quarantined' and (action is null or business_key is null))
    or ((outcome is null or outcome = 'parked') and command is null)
    or (outcome is not distinct from 'parked') <> (waits_for is not null);

-- parked_for_what_exists --
-- What a parked message waits for is not there yet; else it would have been woken.
-- reads all parts: the audit proves every row
with parked as (
    select m.part, m.subject, m.message_id, m.system, m.action, m.business_key, m.waits_for, m.command::jsonb as command
      from messages as m
     where m.outcome = 'parked'
),
-- The units that a parked message names, by line.
named as (
    select p.part, p.subject, p.message_id, (unit ->> 'line_no')::int as line_no,
           sum((unit ->> 'quantity')::numeric) as units
      from parked as p
     cross join jsonb_array_elements(p.command -> 'lines') as unit
     where p.waits_for in ('shipment', 'return')
     group by p.part, p.subject, p.message_id, (unit ->> 'line_no')::int
)
select p.part, p.subject, p.message_id, p.system, p.action, p.waits_for, o.state
  from parked as p
  join orders as o
    on o.part = p.part
   and o.order_id = p.subject
  left join payments as m
    on m.part = o.part
   and m.order_id = o.order_id
 where case p.waits_for
       when 'authorization' then m.captured + (p.command ->> 'amount')::numeric <= m.authorized
       when 'allocation' then exists (
            select from lines as l where l.part = o.part and l.order_id = o.order_id and l.allocated > 0)
       when 'release' then not exists (
            select
              from assignments as a
             where a.part = o.part
               and a.order_id = o.order_id
               and a.assignment_no::text = split_part(p.business_key, '/', 1)
               and a.state = 'allocated')
       when 'shipment' then not exists (
            select
              from named as n
              join lines as l
                on l.part = n.part
               and l.order_id = n.subject
               and l.line_no = n.line_no
             where n.part = p.part
               and n.subject = p.subject
               and n.message_id = p.message_id
               and n.units > l.shipped - case p.action when 'return.authorize' then l.return_due else 0 end)
       when 'return' then
            case when p.action <> 'refund.issue' then exists (
                      select
                        from return_lines as r
                       where r.part = o.part
                         and r.order_id = o.order_id
                         and r.ref = p.command ->> 'return_ref')
                 when jsonb_array_length(coalesce(p.command -> 'lines', '[]')) = 0 then exists (
                      select
                        from lines as l
                       where l.part = o.part
                         and l.order_id = o.order_id
                         and l.canceled + l.returned > l.refunded)
                 else not exists (
                      select
                        from named as n
                        join lines as l
                          on l.part = n.part
                         and l.order_id = n.subject
                         and l.line_no = n.line_no
                       where n.part = p.part
                         and n.subject = p.subject
                         and n.message_id = p.message_id
                         and n.units > l.canceled + l.returned - l.refunded)
            end
       when 'capture' then m.refunded + (p.command ->> 'amount')::numeric <= m.captured
       else true            -- it waits for its order, which is there, or for something that nobody knows
       end;

-- parked_unchased --
-- What has been parked longer than it may is shown to a person (and waits on): by then its patience is taken off.
-- reads all parts: the audit proves every row
select m.part, m.subject, m.message_id, m.system, m.action, m.waits_for, m.received_at, m.waits_until
  from messages as m
 where m.outcome = 'parked'
   and (m.waits_until is null or m.waits_until < %(overdue_since)s)
   and not exists (
           select
             from exceptions as e
            where e.part = m.part
              and e.subject = m.subject
              and e.exception_id = 'parked_too_long/' || m.message_id
       );

-- waiting_too_long --
-- No message waits for a worker longer than WAIT_S_MAX.
-- reads all parts: the audit proves every row
select part, subject, message_id, system, action, received_at
  from messages
 where outcome is null
   and received_at < %(waiting_since)s;

-- put_away_unseen --
-- What was quarantined or in conflict is shown to a person.
-- reads all parts: the audit proves every row
select m.part, m.subject, m.message_id, m.system, m.action, m.outcome, m.reason
  from messages as m
 where m.outcome in ('quarantined', 'conflict')
   and not exists (
           select
             from exceptions as e
            where e.part = m.part
              and e.subject = m.subject
              and case m.outcome
                      when 'quarantined' then e.reason = 'quarantined'
                      else e.exception_id in ('conflict/' || m.action || '/' || m.business_key,
                                              'divergence/' || m.action || '/' || m.business_key)
                  end
       );

-- file_counts --
-- A file's messages name a file that is known; a finished file has a message for each record, and its counts fit; no file
-- stays unfinished longer than FILE_S_MAX.
-- reads all parts: the audit proves every row
with kept as (
    select system, file as sha256, count(distinct record) as messages
      from messages
     where file is not null
     group by system, file
)
select f.part, system, sha256, f.name, f.received_at, f.finished_at, f.rows, f.rows_rejected, f.records,
       coalesce(k.messages, 0) as messages
  from files as f
  full join kept as k using (system, sha256)
 where f.sha256 is null
    or (f.finished_at is null and f.received_at < %(unfinished_since)s)
    or (f.finished_at is not null
        and (f.rows_rejected > f.rows or f.records > f.rows or coalesce(k.messages, 0) < f.records));


-- 5. once ------------------------------------------------------------------------------------------------------------------

-- ledger_and_messages --
-- Ledger rows and the messages that they answered first are one to one, with the same key and the same outcome. Refusals of
-- the sender leave no row. A whole may be told again, otherwise: such messages find the row of their key, and if one of them
-- was processed, the row says so.
-- reads all parts: the audit proves every row
with answered as (
    select part, subject, message_id, action, business_key, outcome
      from messages
     where outcome in ('processed', 'stale', 'parked', 'refused', 'conflict')
),
restated as (
    select distinct m.part, m.subject, m.action, m.business_key
      from answered as m
      join ledger as l using (part, subject, action, business_key)
     where m.action in ('order.create', 'stock.count')
       and m.message_id <> l.first_message
       and m.outcome in ('processed', 'stale')
)
select coalesce(l.part, m.part) as part, coalesce(l.subject, m.subject) as subject,
       coalesce(l.first_message, m.message_id) as message_id,
       l.action as ledger_action, l.business_key as ledger_key, l.outcome as ledger_outcome,
       m.action as message_action, m.business_key as message_key, m.outcome as message_outcome
  from ledger as l
  full join answered as m
    on m.part = l.part
   and m.subject = l.subject
   and m.message_id = l.first_message
  left join restated as r
    on r.part = coalesce(l.part, m.part)
   and r.subject = coalesce(l.subject, m.subject)
   and r.action = coalesce(l.action, m.action)
   and r.business_key = coalesce(l.business_key, m.business_key)
 where case when l.part is null then m.outcome not in ('refused', 'conflict') and r.part is null
            when m.part is null then true
            else (l.action, l.business_key) is distinct from (m.action, m.business_key)
                 or (l.outcome <> m.outcome and (r.part is null or l.outcome <> 'processed'))
       end;

-- keys_twice --
-- No key has two ledger rows, in whatever part, and no two messages of one key were processed, unless a whole was told again,
-- otherwise.
-- reads all parts: the audit proves every row
select 'ledger' as twice_in, subject, action, business_key, count(*) as times
  from ledger
 group by subject, action, business_key
having count(*) > 1
 union all
select 'messages', subject, action, business_key, count(*)
  from (select subject, action, business_key,
               action not in ('order.create', 'stock.count')
               or body = lag(body) over (partition by subject, action, business_key order by settled_at, message_id)
                   as once_only
          from messages
         where outcome = 'processed') as done
 group by subject, action, business_key
having count(*) > 1 and bool_or(once_only);

-- repeats --
-- Duplicates and conflicts point to a ledger row, which has counted them. (A conflict of two counts under different keys is
-- the first answer to its own.)
-- reads all parts: the audit proves every row
with again as (
    select m.part, m.subject, m.action, m.business_key, count(*) as messages,
           count(*) filter (where m.outcome = 'conflict') as conflicts
      from messages as m
     where m.outcome in ('duplicate', 'conflict')
       and not exists (
               select
                 from ledger as l
                where l.part = m.part
                  and l.subject = m.subject
                  and l.action = m.action
                  and l.business_key = m.business_key
                  and l.first_message = m.message_id
           )
     group by m.part, m.subject, m.action, m.business_key
)
select part, subject, action, business_key, a.messages, a.conflicts, l.attempts as ledger_attempts,
       l.conflicts as ledger_conflicts
  from again as a
  left join ledger as l using (part, subject, action, business_key)
 where l.part is null
    or l.attempts < 1 + a.messages
    or l.conflicts < a.conflicts;

-- effects --
-- Every event was caused by a message about its order that was processed.
-- reads all parts: the audit proves every row
select e.part, e.order_id, e.seq, e.type, e.message_id, m.outcome
  from events as e
  left join messages as m
    on m.part = e.part
   and m.subject = e.order_id
   and m.message_id = e.message_id
 where m.outcome is distinct from 'processed';

-- shipments_twice --
-- A node's number for a shipment stands for one shipment of an assignment.
-- reads all parts: the audit proves every row
select part, order_id, assignment_no, ref, count(*) as times
  from shipments
 group by part, order_id, assignment_no, ref
having count(*) > 1;


-- 6. money agrees with goods -----------------------------------------------------------------------------------------------

-- payment_bounds --
-- Refunded is at most captured, captured at most authorized, and nothing is below zero.
-- reads all parts: the audit proves every row
select part, order_id, authorized, captured, refunded
  from payments
 where captured > authorized
    or refunded > captured
    or least(authorized, captured, refunded) < 0;

-- payment_sums --
-- A payment is the sum of what its order's events say.
-- reads all parts: the audit proves every row
with told as (
    select part, order_id,
           coalesce(sum((body ->> 'amount')::numeric) filter (where type = 'payment.authorized'), 0)
           - coalesce(sum((body ->> 'amount')::numeric) filter (where type = 'payment.voided'), 0) as authorized,
           coalesce(sum((body ->> 'amount')::numeric) filter (where type = 'payment.captured'), 0) as captured,
           coalesce(sum((body ->> 'amount')::numeric) filter (where type = 'refund.issued'), 0) as refunded
      from events
     where type in ('payment.authorized', 'payment.voided', 'payment.captured', 'refund.issued')
     group by part, order_id
)
select part, order_id, p.authorized, p.captured, p.refunded,
       t.authorized as events_authorized, t.captured as events_captured, t.refunded as events_refunded
  from payments as p
  full join told as t using (part, order_id)
 where (coalesce(p.authorized, 0), coalesce(p.captured, 0), coalesce(p.refunded, 0))
       is distinct from (coalesce(t.authorized, 0), coalesce(t.captured, 0), coalesce(t.refunded, 0));

-- refunded_units --
-- No more units of a line were refunded than were canceled or came back.
-- reads all parts: the audit proves every row
select part, order_id, line_no, refunded, canceled, returned
  from lines
 where refunded > canceled + returned;

-- refunds_for_nothing --
-- No money went back without units, nor more than the units were worth (rounded up to a cent each time).
-- reads all parts: the audit proves every row
with refunds as (
    select part, order_id, count(*) as refunds,
           count(*) filter (where (body ->> 'amount')::numeric > 0
                              and coalesce(json_array_length(body -> 'units'), 0) = 0) as without_units
      from events
     where type = 'refund.issued'
     group by part, order_id
),
given_back as (
    select part, order_id, p.refunded, o.total, coalesce(r.refunds, 0) as refunds,
           coalesce(r.without_units, 0) as without_units
      from payments as p
      join orders as o using (part, order_id)
      left join refunds as r using (part, order_id)
     where p.refunded > 0
        or r.without_units > 0
),
goods as (
    select part, order_id, g.refunded, g.total, g.refunds, g.without_units, sum(l.refunded) as units,
           sum(l.unit_price * l.quantity) as price, sum(l.unit_price * l.refunded) as price_refunded
      from given_back as g
      join lines as l using (part, order_id)
     group by part, order_id, g.refunded, g.total, g.refunds, g.without_units
)
select part, order_id, refunded, refunds, without_units, units,
       case when price > 0 then round(price_refunded * total / price, 2) end as worth
  from goods
 where without_units > 0
    or units = 0
    or (price > 0 and refunded > price_refunded * total / price + 0.01 * refunds);


-- 7. history is whole ------------------------------------------------------------------------------------------------------

-- event_numbers --
-- An order's events are numbered from 1 without a gap, and its `seq` is the number of the last.
-- reads all parts: the audit proves every row
with numbered as (
    select part, order_id, count(*) as events, min(seq) as first, max(seq) as last
      from events
     group by part, order_id
)
select part, order_id, o.seq, coalesce(n.events, 0) as events, n.first, n.last
  from orders as o
  left join numbered as n using (part, order_id)
 where (n.events, n.first, n.last) is distinct from (o.seq::bigint, 1, o.seq);

-- event_positions --
-- The events of a part are numbered from 1 without a gap, and those of an order in its order: who reads by position misses
-- nothing.
-- reads all parts: the audit proves every row
with counted as (
    select part, count(*) as events, min(position) as first, max(position) as last
      from events
     group by part
)
select part, null::text as order_id, null::integer as seq, last as position, events
  from counted
 where (first, last) is distinct from (1::bigint, events)
union all
select e.part, e.order_id, e.seq, e.position, null
  from events as e
  join events as later
    on later.part = e.part
   and later.order_id = e.order_id
   and later.seq = e.seq + 1
 where later.position <= e.position;


-- 8. every request is answered or chased -----------------------------------------------------------------------------------

-- releases_untold --
-- Every release is in the outbox: for each such event, and for each assignment that is released.
-- reads all parts: the audit proves every row
select e.part, e.order_id, e.seq, null::integer as assignment_no
  from events as e
 where e.type = 'assignment.released'
   and not exists (
           select
             from outbox as o
            where o.part = e.part
              and o.order_id = e.order_id
              and o.seq = e.seq
              and o.message = 'shipment.release'
       )
 union all
select a.part, a.order_id, null, a.assignment_no
  from assignments as a
 where a.released_at is not null
   and not exists (
           select
             from outbox as o
            where o.part = a.part
              and o.order_id = a.order_id
              and o.assignment_no = a.assignment_no
              and o.message = 'shipment.release'
       );

-- unanswered --
-- A release that was delivered is answered, or its answer is not due yet, or an exception `ack_overdue` chases it. One that has a
-- note needed not go.
-- reads all parts: the audit proves every row
select o.part, o.order_id, o.seq, o.receiver, o.assignment_no, o.sent_at, o.answer_due_at
  from outbox as o
 where o.state = 'sent'
   and o.message = 'shipment.release'
   and o.note is null
   and o.answered_at is null
   and (o.answer_due_at is null or o.answer_due_at < %(overdue_since)s)
   and not exists (
           select
             from exceptions as e
            where e.part = o.part
              and e.subject = o.order_id
              and e.exception_id = 'ack_overdue/' || o.assignment_no
       );

-- undelivered --
-- The outbox knows three states. What is dead is shown as `delivery_dead`; what was sent says when; nothing whose turn it is
-- waits longer past its time than DELIVERY_S_MAX.
-- reads all parts: the audit proves every row
select o.part, o.order_id, o.seq, o.receiver, o.message, o.assignment_no, o.state, o.attempts, o.due_at, o.last_error
  from outbox as o
 where o.state not in ('waiting', 'sent', 'dead')
    or (o.state = 'sent' and o.sent_at is null)
    or (o.state = 'dead'
        and not exists (
                select
                  from exceptions as e
                 where e.part = o.part
                   and e.subject = o.order_id
                   and e.exception_id = 'delivery_dead/' || o.seq || '/' || o.message || '/' || o.assignment_no
            ))
    or (o.state = 'waiting'
        and o.due_at < %(undelivered_since)s
        -- Behind an earlier one that is not delivered it only waits for its turn; that one is told of.
        and not exists (
                select
                  from outbox as before
                 where before.part = o.part
                   and before.order_id = o.order_id
                   and before.receiver = o.receiver
                   and before.state <> 'sent'
                   and (before.seq, before.message, before.assignment_no) < (o.seq, o.message, o.assignment_no)
            ));


-- interchanges_unchased --
-- An interchange that was sent is acknowledged, or that is not awaited or not due yet, or `functional_ack_overdue` chases it. One that
-- goes by itself does not wait long past its time, and when it was given up, `delivery_dead` shows it.
-- reads all parts: the audit proves every row
select i.part, i.system, i.control, i.kind, i.state, i.sent_at, i.answer_due_at, i.due_at, i.last_error
  from interchanges as i
 where i.direction = 'out'
   and ((i.answered_at is null
         and i.answer_due_at < %(overdue_since)s
         and not exists (
                 select
                   from exceptions as e
                  where e.part = i.part
                    and e.subject = i.system
                    and e.exception_id = 'functional_ack_overdue/' || i.control
             ))
        or (i.state = 'waiting' and i.due_at < %(undelivered_since)s)
        or (i.state = 'dead'
            and i.kind = 'acknowledgment'
            and not exists (
                    select
                      from exceptions as e
                     where e.part = i.part
                       and e.subject = i.system
                       and e.exception_id = 'delivery_dead/' || i.kind || '/' || i.control
                )));


-- 9. every exception is owned ----------------------------------------------------------------------------------------------

-- unowned --
-- An exception has an owner, an explanation, a clock and a name that begins with its reason; a closed one says who closed
-- it, and on what evidence; the message that it names exists.
-- reads all parts: the audit proves every row
select e.part, e.subject, e.exception_id, e.reason, e.owner, e.opened_at, e.due_at, e.closed_at, e.closed_by, e.evidence,
       e.message_id
  from exceptions as e
 where btrim(e.owner) = ''
    or btrim(e.explanation) = ''
    or e.due_at is null
    or e.due_at < e.opened_at
    or e.last_seen_at < e.opened_at
    or e.times < 1
    or not starts_with(e.exception_id, e.reason || '/')
    or (e.closed_at is null) <> (e.closed_by is null)
    or (e.closed_at is null) <> (e.evidence is null)
    or btrim(e.closed_by) = ''
    or btrim(e.evidence) = ''
    or e.closed_at < e.opened_at
    or (e.message_id is not null
        and not exists (
                select
                  from messages as m
                 where m.part = e.part
                   and m.subject = e.subject
                   and m.message_id = e.message_id
            ));


-- 10. nobody acted beyond its authority ------------------------------------------------------------------------------------

-- beyond_authority --
-- Every processed message came from a system that may decide its action's fact.
-- reads all parts: the audit proves every row
select m.part, m.subject, m.message_id, m.system, m.action, m.settled_at
  from messages as m
 where m.outcome = 'processed'
   and m.system <> 'interlock'
   and m.settled_at >= %(authority_since)s
   and not exists (
           select
             from unnest(%(systems)s, %(actions)s) as may (system, action)
            where may.system = m.system
              and may.action = m.action
       );

-- wrong_speaker --
-- What a node does is told by the system that speaks for the node, or by the back office.
-- reads all parts: the audit proves every row
with spoken as (
    select m.part, m.subject, m.message_id, m.system, m.action, m.settled_at,
           split_part(m.business_key, '/', 1) as assignment_no
      from messages as m
     where m.outcome = 'processed'
       and m.action in ('shipment.acknowledge', 'shipment.pack', 'shipment.confirm', 'shipment.reject')
       and m.system <> all(%(office)s)
       and m.settled_at >= %(authority_since)s
)
select s.part, s.subject, s.message_id, s.system, s.action, a.assignment_no, a.node, t.system as speaker
  from spoken as s
  join assignments as a
    on a.part = s.part
   and a.order_id = s.subject
   and a.assignment_no::text = s.assignment_no
  left join unnest(%(speaker_nodes)s, %(speakers)s) as t (node, system)
    on t.node = a.node
 where t.system is distinct from s.system;

-- wrong_teller --
-- Orders of a channel are told by the channel's system, the stock of a node by the node's, or by who tells for others.
-- reads all parts: the audit proves every row
with told as not materialized (
    select m.part, m.subject, m.message_id, m.system, m.action, m.business_key
      from messages as m
     where m.outcome = 'processed'
       and m.action in ('order.create', 'stock.adjust', 'stock.count')
       and m.system <> all(%(for_others)s)
       and m.settled_at >= %(authority_since)s
)
select t.part, t.subject, t.message_id, t.system, t.action, 'channel' as about, o.channel as id, s.system as teller
  from told as t
  join orders as o
    on o.part = t.part
   and o.order_id = t.subject
  left join unnest(%(channels)s, %(sellers)s) as s (channel, system)
    on s.channel = o.channel
 where t.action = 'order.create'
   and s.system is distinct from t.system
   -- Of two masters either may tell what is the other's.
   and not exists (
           select
             from unnest(%(twin_owners)s, %(twins)s, %(twin_actions)s) as w (owner, twin, action)
            where w.owner = s.system
              and w.twin = t.system
              and w.action = t.action
       )
 union all
-- A stock action's key begins with its node, whose id has no slash.
select t.part, t.subject, t.message_id, t.system, t.action, 'node' as about, s.node as id, n.system as teller
  from told as t
 cross join lateral (select split_part(t.business_key, '/', 1) as node) as s
  left join unnest(%(speaker_nodes)s, %(speakers)s) as n (node, system)
    on n.node = s.node
 where t.action in ('stock.adjust', 'stock.count')
   and n.system is distinct from t.system
   and not exists (
           select
             from unnest(%(twin_owners)s, %(twins)s, %(twin_actions)s) as w (owner, twin, action)
            where w.owner = n.system
              and w.twin = t.system
              and w.action = t.action
       );

-- refusals_unseen --
-- Who was refused for want of authority is in the exception queue. Such a refusal leaves no answer in the ledger.
-- reads all parts: the audit proves every row
select m.part, m.subject, m.message_id, m.system, m.action, m.reason
  from messages as m
 where m.outcome = 'refused'
   and not exists (
           select
             from ledger as l
            where l.part = m.part
              and l.subject = m.subject
              and l.action = m.action
              and l.business_key = m.business_key
              and l.outcome = 'refused'
              and l.first_message = m.message_id
       )
   -- A whole that was told again and could not be applied is answered by the row of its key, which its source has.
   and not exists (
           select
             from ledger as l
            where m.action = 'order.create'
              and l.part = m.part
              and l.subject = m.subject
              and l.action = m.action
              and l.business_key = m.business_key
              and l.system = m.system
       )
   and not exists (
           select
             from exceptions as e
            where e.part = m.part
              and e.subject = m.subject
              and e.exception_id in ('unknown_system/' || m.action, 'no_authority/' || m.action,
                                     'wrong_source/' || m.action, 'too_many_parked/' || m.action)
       );
