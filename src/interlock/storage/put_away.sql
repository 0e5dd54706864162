-- What was put away because it could not be read or processed, and what became of it when it was tried again.


-- put_away_many --
-- Quarantined messages that still wait for a person, the oldest first: found by their open exceptions.
-- reads all parts: what is put away may be anybody's
select m.received_at as effective_at, m.part, m.message_id, m.system, m.received_at, m.content_type, m.body, m.action,
       m.subject, m.business_key, m.outcome, m.reason, m.source_message_id, m.file, m.record, m.contract,
       m.context::text, m.trace_id
  from exceptions as e
  join messages as m
    on m.part = e.part
   and m.subject = e.subject
   and m.outcome = 'quarantined'
 where e.reason = 'quarantined'
   and e.closed_at is null
   and e.exception_id = 'quarantined/' || split_part(m.reason, ': ', 1)
   and (%(systems)s::text[] is null or m.system = any(%(systems)s))
   and (%(reason)s::text is null or strpos(m.reason, %(reason)s) > 0)
   and (%(since)s::timestamptz is null or m.received_at >= %(since)s)
   and (%(after)s::uuid is null or m.message_id > %(after)s)
 order by m.message_id
 limit %(limit)s;

-- firsts_many --
-- The first messages of documents whose further records are meant: they have the document's bytes.
-- reads all parts: the records of a document may be anybody's
select asked.place, m.received_at as effective_at, m.part, m.message_id, m.system, m.received_at, m.content_type, m.body,
       m.action, m.subject, m.business_key, m.outcome, m.reason, m.source_message_id, m.file, m.record, m.contract,
       m.context::text, m.trace_id
  from unnest(%(places)s, %(systems)s, %(times)s, %(records)s) as asked (place, system, received_at, record)
  join messages as m
    on m.system = asked.system
   and m.received_at = asked.received_at
   and (m.record = asked.record or m.record like asked.record || ' %%')
   and m.content_type not like 'application/vnd.interlock.record%%'
 order by asked.place, m.message_id;

-- close_many --
-- What was put away has been taken after all: its exception is closed, and what it became is the evidence.
-- reads all parts: what is put away may be anybody's
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock reprocess',
       evidence = t.evidence
  from unnest(%(parts)s, %(subjects)s, %(exception_ids)s, %(evidence)s) as t (part, subject, exception_id, evidence)
 where e.part = t.part
   and e.subject = t.subject
   and e.exception_id = t.exception_id
   and e.closed_at is null
returning e.subject;
