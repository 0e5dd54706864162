-- What is read to undo something: what it was, and what it did. Nothing here writes.

-- message --
-- What a message asked for, and what became of it.
-- reads all parts: a person gives the message's id alone
select subject, action, business_key, outcome
  from messages
 where message_id = %(message_id)s;

-- deeds --
-- What was processed of an action on a subject, by its key; of an order that was told again, the first message.
select business_key, min(message_id::text) as message_id
  from messages
 where part = %(part)s
   and subject = %(subject)s
   and action = %(action)s
   and outcome = 'processed'
   and case when %(key)s::text is not null then business_key = %(key)s
            -- What undid something is only meant where it is named.
            else system <> 'interlock' or position('undo/' in business_key) = 0 end
 group by business_key
 order by message_id
 limit %(limit)s;

-- events --
-- What a message did to its order.
select body::text
  from events
 where part = %(part)s
   and order_id = %(subject)s
   and message_id = %(message_id)s::uuid
 order by seq;

-- movement --
-- What a message did to the stock of a SKU at a node.
select physical
  from movements
 where part = %(part)s
   and sku = %(subject)s
   and node = %(node)s
   and cause = %(cause)s;

-- counts_since --
-- Whether the SKU was counted at the node after this message came.
select exists (
           select
             from messages
            where part = %(part)s
              and subject = %(subject)s
              and action = 'stock.count'
              and outcome = 'processed'
              and starts_with(business_key, %(prefix)s)
              and message_id > %(message_id)s::uuid
       );

-- undone --
-- Which of these (part, subject, key) compensations were processed already, and when.
select asked.subject, asked.key, m.action, m.settled_at
  from unnest(%(parts)s, %(subjects)s, %(keys)s) as asked (part, subject, key)
  join messages as m
    on m.part = asked.part
   and m.subject = asked.subject
   and m.business_key = asked.key
   and m.system = 'interlock'
   and m.outcome = 'processed'
 order by m.settled_at
 limit 1;

-- touched_exceptions --
-- The exceptions that this transaction opened, saw again or closed.
select subject, exception_id, explanation, closed_at is not null as is_closed
  from exceptions
 where part = any(%(parts)s)
   and subject = any(%(subjects)s)
   and (last_seen_at = %(now)s or closed_at = %(now)s)
 order by subject, exception_id;
