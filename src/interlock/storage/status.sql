-- orders_by_state --
-- reads all parts: a summary for people.
select state, fulfillment, count(*)::bigint as orders
  from orders
 group by state, fulfillment
 order by state, fulfillment;

-- messages_by_outcome --
-- reads all parts: a summary for people.
select coalesce(action, 'unread') as action, coalesce(outcome, 'waiting') as outcome, count(*)::bigint as messages
  from messages
 group by 1, 2
 order by 1, 2;

-- receivers --
-- reads all parts: a summary for people.
select receiver, message, state, count(*)::bigint as messages,
       (count(*) filter (where answer_due_at is not null and answered_at is null))::bigint as unanswered
  from outbox
 group by receiver, message, state
 order by receiver, message, state;

-- exceptions_by_reason --
-- reads all parts: a summary for people.
select reason, owner, count(*)::bigint as open, sum(times)::bigint as times, min(due_at) as first_due
  from exceptions
 where closed_at is null
 group by reason, owner
 order by reason, owner;

-- totals --
-- reads all parts: a summary for people.
select (select count(*) from orders)::bigint,
       (select count(*) from lines)::bigint,
       (select coalesce(sum(quantity), 0) from lines where uom = 'each')::bigint,
       (select count(*) from assignments)::bigint,
       (select count(*) from (select from assignments group by part, order_id having count(*) > 1) as s)::bigint,
       (select count(*) from shipments)::bigint,
       (select count(*) from packages)::bigint,
       (select count(*) from movements)::bigint,
       (select count(*) from positions)::bigint,
       (select count(*) from events)::bigint,
       (select count(*) from messages)::bigint;

-- events_by_type --
-- reads all parts: a summary for people.
select type, count(*)::bigint
  from events
 group by type
 order by type;

-- units_by_state --
-- reads all parts: a summary for people. Units of "each" only: others do not add up.
select coalesce(sum(open), 0)::bigint, coalesce(sum(allocated), 0)::bigint, coalesce(sum(released), 0)::bigint,
       coalesce(sum(packed), 0)::bigint, coalesce(sum(shipped), 0)::bigint, coalesce(sum(canceled), 0)::bigint,
       coalesce(sum(returned), 0)::bigint, coalesce(sum(refunded), 0)::bigint
  from lines
 where uom = 'each';

-- files --
-- reads all parts: a summary for people.
select system, records_kind as records, count(*)::bigint as files, sum(rows)::bigint as rows,
       sum(rows_rejected)::bigint as rejected, sum(times_seen - 1)::bigint as seen_again
  from files
 group by system, records_kind
 order by system, records_kind;
