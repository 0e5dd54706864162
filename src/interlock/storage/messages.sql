-- lock_part --
-- Take the part for this transaction; waits for whoever holds it. The lease dies with the connection.
select part
  from part_lock
 where part = %(part)s
   for update;

-- claim_part --
-- Take the part if nobody holds it; no row says that somebody does.
select part
  from part_lock
 where part = %(part)s
   for update skip locked;

-- keep_many --
-- Keep messages verbatim. Without an outcome they wait for a worker, and their command waits with them.
insert into messages
       (part, subject, message_id, system, source_message_id, file, record, received_at, occurred_at, time_zone,
        trace_id, content_type, body, action, business_key, command, outcome, reason, settled_at, waits_for)
select %(part)s, subject, message_id, system, source_message_id, file, record, received_at, occurred_at, time_zone,
       trace_id, content_type, body, action, business_key, command, outcome, reason,
       case when outcome is not null then %(now)s end, waits_for
  from unnest(%(subjects)s, %(message_ids)s, %(systems)s, %(source_message_ids)s, %(files)s, %(records)s,
              %(received_at)s, %(occurred_at)s, %(time_zones)s, %(trace_ids)s, %(content_types)s, %(bodies)s,
              %(actions)s, %(business_keys)s, %(commands)s, %(outcomes)s, %(reasons)s, %(waits_for)s)
       as t (subject, message_id, system, source_message_id, file, record,
             received_at, occurred_at, time_zone, trace_id, content_type, body,
             action, business_key, command, outcome, reason, waits_for)
    on conflict (part, subject, message_id) do nothing;

-- settle_many --
-- Give kept messages their outcome; only what is parked keeps its command.
update messages as m
   set outcome = t.outcome,
       reason = t.reason,
       settled_at = %(now)s,
       waits_for = t.waits_for,
       command = case when t.outcome = 'parked' then m.command end
  from unnest(%(subjects)s, %(message_ids)s, %(outcomes)s, %(reasons)s, %(waits_for)s)
       as t (subject, message_id, outcome, reason, waits_for)
 where m.part = %(part)s
   and m.subject = t.subject
   and m.message_id = t.message_id
   and (m.outcome is null or m.outcome = 'parked');

-- waiting_many --
-- The messages of a part that wait for a worker, in the order in which they arrived.
select message_id, system, received_at, body, content_type, command::text, source_message_id, trace_id, file, record
  from messages
 where part = %(part)s
   and outcome is null
 order by message_id
 limit %(limit)s;

-- parked_many --
-- The messages that wait for these subjects to exist, in the order in which they arrived.
select message_id, system, received_at, body, content_type, command::text, source_message_id, trace_id, file, record
  from messages
 where part = %(part)s
   and subject = any(%(subjects)s)
   and outcome = 'parked'
 order by message_id;

-- waiting_parts --
-- reads all parts: a hint of where there is work; who works claims the part first.
-- The parts that have messages or orders whose time has come.
select part
  from part_lock as p
 where exists (select from messages as m where m.part = p.part and m.outcome is null)
    or exists (select from orders as o where o.part = p.part and o.wake_at <= %(now)s)
 order by part;

-- due_many --
-- Orders on which time itself acts now.
select order_id, seq, state
  from orders
 where part = %(part)s
   and wake_at <= %(now)s
 order by wake_at
 limit %(limit)s;

-- open_keys --
-- Write request keys down, and say of each whether it stands for the payload given: for another one it is false.
-- reads all parts: keys of one request may be anybody's; each is a row of its own, touched in one order.
with asked as (
    select distinct on (part, system, request_key) part, system, request_key, payload_hash
      from unnest(%(parts)s, %(systems)s, %(keys)s, %(hashes)s) with ordinality
           as t (part, system, request_key, payload_hash, place)
     order by part, system, request_key, place
),
opened as (
    insert into request_keys as known (part, system, request_key, payload_hash, first_seen_at)
    select part, system, request_key, payload_hash, %(now)s
      from asked
     order by part, system, request_key
        on conflict (part, system, request_key) do update
       set first_seen_at = known.first_seen_at       -- touched only so that the row comes back
    returning part, system, request_key, payload_hash
)
select opened.payload_hash = t.payload_hash
  from unnest(%(parts)s, %(systems)s, %(keys)s, %(hashes)s) with ordinality
       as t (part, system, request_key, payload_hash, place)
  join opened using (part, system, request_key)
 order by place;
