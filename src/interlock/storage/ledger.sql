-- read_many --
-- What was answered before to these actions on these keys. Whoever holds the part is alone here, so what is not known
-- now stays unknown until this transaction writes it.
select l.subject, l.action, l.business_key, l.payload_hash, l.outcome, l.answer::text
  from unnest(%(subjects)s, %(actions)s, %(keys)s) as asked (subject, action, business_key)
  join ledger as l
    on l.part = %(part)s
   and l.subject = asked.subject
   and l.action = asked.action
   and l.business_key = asked.business_key
 union all
-- Of these orders: whether anything is parked on them.
select l.subject, l.action, l.business_key, l.payload_hash, 'waits', '{}'
  from unnest(%(orders)s) as orders (subject)
  join ledger as l
    on l.part = %(part)s
   and l.subject = orders.subject
 where l.outcome = 'parked';

-- record_many --
-- Write new keys down with their first answer; a parked one that goes on, or a whole that was told anew, gets its answer here.
insert into ledger as known
       (part, subject, action, business_key, payload_hash, system, first_message, first_seen_at, last_seen_at,
        outcome, answer)
select %(part)s, subject, action, business_key, payload_hash, system, message_id, %(now)s, %(now)s, outcome, answer
  from unnest(%(subjects)s, %(actions)s, %(keys)s, %(hashes)s, %(systems)s, %(message_ids)s, %(outcomes)s, %(answers)s)
       as t (subject, action, business_key, payload_hash, system, message_id, outcome, answer)
    on conflict (part, subject, action, business_key) do update
   set payload_hash = excluded.payload_hash,             -- another one where a source restated the whole
       outcome = excluded.outcome,
       answer = excluded.answer,
       last_seen_at = excluded.last_seen_at;

-- touch_many --
-- Count what came again, the same or another payload.
update ledger as l
   set attempts = l.attempts + t.attempts,
       conflicts = l.conflicts + t.conflicts,
       last_seen_at = %(now)s
  from unnest(%(subjects)s, %(actions)s, %(keys)s, %(attempts)s, %(conflicts)s)
       as t (subject, action, business_key, attempts, conflicts)
 where l.part = %(part)s
   and l.subject = t.subject
   and l.action = t.action
   and l.business_key = t.business_key;

-- forget_many --
-- Free keys that were parked: nothing was answered to them yet but that they wait.
delete from ledger as l
 using unnest(%(subjects)s, %(actions)s, %(keys)s) as t (subject, action, business_key)
 where l.part = %(part)s
   and l.subject = t.subject
   and l.action = t.action
   and l.business_key = t.business_key
   and l.outcome = 'parked';
