-- Interchanges: what came in and goes out in envelopes, their control numbers, and who has acknowledged what.
--
-- interchanges: part (of the system), system, direction (in, out), interchange_id, kind (messages, acknowledgment), standard,
--               number, control, partner, version, content, name, made_at, groups, contents, sets, rejected, body, answers,
--               state, attempts, due_at, sent_at, answer_due_at, answered_at, last_error, times
--
-- in:                 received | partly | rejected      what our acknowledgment says
-- out:      written ─▶ sent ─▶ accepted | with_errors | partly | rejected      and dead, when its messages were given up
-- out, from its bytes alone: waiting ─▶ sent | dead      an acknowledgment, or what a person sends again

-- next_numbers --
-- Give the system so many control numbers, up to the one that is answered. After the last of nine digits they begin anew.
insert into control_numbers as known (part, system, last)
values (%(part)s, %(system)s, %(wanted)s)
    on conflict (part, system) do update
   set last = case when known.last + excluded.last > 999999999 then excluded.last else known.last + excluded.last end
returning last;

-- find_many --
-- Of these, the ones that were written before.
select interchange_id, name, contents, body
  from interchanges
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and interchange_id = any(%(interchange_ids)s);

-- write_many --
-- Interchanges that go out: numbered and whole, before anybody sends them. Acknowledgments wait for a sender themselves.
insert into interchanges (part, system, direction, interchange_id, kind, standard, number, control, version, name, made_at,
                          groups, contents, sets, body, answers, state, due_at)
select %(part)s, %(system)s, 'out', interchange_id, kind, standard, number, control, version, name, %(now)s,
       array(select jsonb_array_elements_text(groups::jsonb)::bigint), contents, sets, body, answers,
       case kind when 'acknowledgment' then 'waiting' else 'written' end,
       case kind when 'acknowledgment' then %(now)s end
  from unnest(%(interchange_ids)s, %(kinds)s, %(standards)s, %(numbers)s, %(controls)s, %(versions)s, %(names)s,
              %(groups)s, %(contents)s, %(sets)s, %(bodies)s, %(answers)s)
       as t (interchange_id, kind, standard, number, control, version, name, groups, contents, sets, body, answers);

-- sent_many --
-- These were sent: the time for their acknowledgments runs, where any is awaited.
update interchanges
   set state = 'sent',
       sent_at = %(now)s,
       attempts = attempts + 1,
       due_at = null,
       last_error = null,
       answer_due_at = case when kind = 'messages' and answered_at is null
                            then %(now)s + make_interval(secs => %(acknowledged_within_s)s) end
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and interchange_id = any(%(interchange_ids)s)
   and state in ('written', 'waiting', 'dead');

-- failed_many --
-- These were tried in vain; they are dead where that is final.
update interchanges as i
   set attempts = i.attempts + 1,
       last_error = t.error,
       state = case when t.is_final then 'dead' else i.state end,
       due_at = case when i.state = 'waiting' and not t.is_final then t.due_at end
  from unnest(%(interchange_ids)s, %(errors)s, %(finals)s, %(due_ats)s) as t (interchange_id, error, is_final, due_at)
 where i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'out'
   and i.interchange_id = t.interchange_id
   and i.state in ('written', 'waiting');

-- give_up_many --
-- Dead ones of these are work for a person, once for each.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select i.part, i.system, 'delivery_dead/' || i.kind || '/' || i.control, 'delivery_dead',
       'the ' || i.kind || ' in interchange ' || i.control || ' to ' || i.system || ' was given up after ' || i.attempts
           || case when i.attempts = 1 then ' attempt: ' else ' attempts: ' end || i.last_error,
       i.system, %(owner)s, %(now)s, %(due_at)s, %(now)s
  from interchanges as i
 where i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'out'
   and i.interchange_id = any(%(interchange_ids)s)
   and i.state = 'dead'
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- receivers_due --
-- The systems for which an interchange waits by itself.
select distinct system
  from interchanges
 where part = any(%(parts)s)
   and state = 'waiting'
   and due_at <= %(now)s;

-- claim_waiting --
-- Lease interchanges that wait by themselves, the oldest first.
with oldest as (
    select interchange_id
      from interchanges
     where part = %(part)s
       and system = %(system)s
       and direction = 'out'
       and state = 'waiting'
       and due_at <= %(now)s
     order by due_at, interchange_id
     limit %(limit)s
       for update skip locked
)
update interchanges as i
   set due_at = %(leased_until)s
  from oldest as o
 where i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'out'
   and i.interchange_id = o.interchange_id
returning i.interchange_id, i.standard, i.name, i.body, i.attempts;

-- came_in --
-- Know an interchange that came in, or find it known: its id, and how often it has come.
insert into interchanges as known
       (part, system, direction, interchange_id, kind, standard, control, partner, version, content, name, made_at, contents,
        sets, rejected, state)
values (%(part)s, %(system)s, 'in', %(interchange_id)s, %(kind)s, %(standard)s, %(control)s, %(partner)s, %(version)s,
        %(content)s, %(name)s, %(now)s, %(contents)s, %(sets)s, %(rejected)s, %(state)s)
    on conflict (part, system, partner, control, content) where direction = 'in' do update
   set times = known.times + 1
returning interchange_id, times;

-- reused --
-- A control number that its sender has used before, for something else, is work for a person. What we rejected as a whole may
-- come again corrected.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select i.part, i.system, 'control_number_reused/' || i.partner || '/' || i.control, 'control_number_reused',
       i.partner || ' has used the control number ' || i.control || ' twice, for ' || before.name || ' of '
           || to_char(before.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' (' || before.sets
           || ' sets) and for ' || i.name || ' (' || i.sets || ' sets), which say different things; both were taken in',
       i.system, %(owner)s, %(now)s, %(due_at)s, %(now)s
  from interchanges as i
 cross join lateral (
           select b.name, b.made_at, b.sets
             from interchanges as b
            where b.part = i.part
              and b.system = i.system
              and b.direction = 'in'
              and b.partner = i.partner
              and b.control = i.control
              and b.interchange_id <> i.interchange_id
              and b.state <> 'rejected'
            order by b.made_at desc
            limit 1
       ) as before
 where i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'in'
   and i.interchange_id = %(interchange_id)s
   and i.control <> ''
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- acknowledge_again --
-- Who sends an interchange again has probably missed our acknowledgment: the same bytes go once more.
update interchanges
   set state = 'waiting',
       attempts = 0,
       due_at = %(now)s
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and answers = %(interchange_id)s
   and state in ('sent', 'dead');

-- find_answered --
-- What went out under these numbers, the newest of each; a group's number is that of its interchange or a few above.
select distinct on (t.place) t.place, i.interchange_id, i.control
  from unnest(%(places)s, %(firsts)s, %(lasts)s, %(of_groups)s) as t (place, first, last, of_group)
  join interchanges as i
    on i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'out'
   and i.number between t.first and t.last
   and (not t.of_group or t.last = any(i.groups))
 where i.kind = 'messages'
 order by t.place, i.made_at desc, i.interchange_id desc;

-- lock_many --
-- Nobody else writes what was said of these meanwhile.
select interchange_id, contents
  from interchanges
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and interchange_id = any(%(interchange_ids)s)
 order by interchange_id
   for update;

-- answered_many --
-- What the partner said of these.
update interchanges as i
   set state = t.state,
       contents = t.contents,
       rejected = t.rejected,
       answered_at = case when t.is_whole then coalesce(i.answered_at, %(now)s) end,
       due_at = null,
       last_error = nullif(t.error, '')
  from unnest(%(interchange_ids)s, %(states)s, %(contents)s, %(rejected)s, %(errors)s, %(wholes)s)
       as t (interchange_id, state, contents, rejected, error, is_whole)
 where i.part = %(part)s
   and i.system = %(system)s
   and i.direction = 'out'
   and i.interchange_id = t.interchange_id;

-- close_overdue --
-- The acknowledgment came after all: that is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = t.evidence
  from unnest(%(controls)s, %(evidence)s) as t (control, evidence)
 where e.part = %(part)s
   and e.subject = %(system)s
   and e.exception_id = 'functional_ack_overdue/' || t.control
   and e.closed_at is null;

-- open_rejected --
-- What a partner has rejected is work for a person: one row for each message, with the order.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select t.part, t.subject, 'interchange_rejected/' || t.what, 'interchange_rejected', t.explanation, %(system)s, %(owner)s,
       %(now)s, %(due_at)s, %(now)s
  from unnest(%(parts)s, %(subjects)s, %(whats)s, %(explanations)s) as t (part, subject, what, explanation)
 order by t.part, t.subject, t.what
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- close_rejected --
-- The same message was accepted later: that is the evidence.
update exceptions as e
   set closed_at = %(now)s,
       closed_by = 'interlock',
       evidence = t.evidence
  from unnest(%(parts)s, %(subjects)s, %(whats)s, %(evidence)s) as t (part, subject, what, evidence)
 where e.part = t.part
   and e.subject = t.subject
   and e.exception_id = 'interchange_rejected/' || t.what
   and e.closed_at is null;

-- open_unknown --
-- An acknowledgment of something that we have not sent is work for a person.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select %(part)s, %(system)s, 'unknown_acknowledgment/' || t.what, 'unknown_acknowledgment', t.explanation, %(system)s,
       %(owner)s, %(now)s, %(due_at)s, %(now)s
  from unnest(%(whats)s, %(explanations)s) as t (what, explanation)
 order by t.what
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- overdue_many --
-- Sent, and not acknowledged in time: work for a person, once for each time that it was sent.
insert into exceptions as known
       (part, subject, exception_id, reason, explanation, system, owner, opened_at, due_at, last_seen_at)
select i.part, i.system, 'functional_ack_overdue/' || i.control, 'functional_ack_overdue',
       i.system || ' has not acknowledged interchange ' || i.control || ' (' || i.sets || ' sets): sent '
           || to_char(i.sent_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' as ' || i.name
           || ', acknowledgment due ' || to_char(i.answer_due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       i.system, %(owner)s, %(now)s, %(due_at)s, %(now)s
  from interchanges as i
 where i.part = %(part)s
   and i.answered_at is null
   and i.answer_due_at < %(now)s
   and not exists (
           select
             from exceptions as e
            where e.part = i.part
              and e.subject = i.system
              and e.exception_id = 'functional_ack_overdue/' || i.control
              and (e.closed_at is null or e.closed_at >= i.sent_at)
       )
 order by i.answer_due_at
 limit %(limit)s
    on conflict (part, subject, exception_id) do update
   set times = known.times + 1,
       last_seen_at = excluded.last_seen_at,
       explanation = excluded.explanation,
       closed_at = null,
       closed_by = null,
       evidence = null;

-- list_many --
-- Interchanges, the newest first: of one system or of all; those that are not settled yet, or all.
select system, direction, kind, standard, control, partner, name, state, sets, rejected, attempts, times, made_at, sent_at,
       answer_due_at, answered_at, last_error
  from interchanges
 where part = any(%(parts)s)
   and (%(system)s::text is null or system = %(system)s)
   and (not %(is_open)s or state in ('written', 'waiting', 'dead', 'partly', 'rejected')
        or (answered_at is null and answer_due_at is not null))
 order by made_at desc, interchange_id desc
 limit %(limit)s;

-- show_many --
-- Everything about a control number of a system, in both directions.
select i.interchange_id, i.direction, i.kind, i.standard, i.control, i.partner, i.version, i.name, i.state, i.sets, i.rejected,
       i.attempts, i.times, i.made_at, i.due_at, i.sent_at, i.answer_due_at, i.answered_at, i.last_error, i.contents,
       a.control, a.state, octet_length(i.body)
  from interchanges as i
  left join lateral (
           select a.control, a.state
             from interchanges as a
            where a.part = i.part
              and a.system = i.system
              and a.answers = i.interchange_id
            order by a.made_at desc
            limit 1
       ) as a
    on true
 where i.part = %(part)s
   and i.system = %(system)s
   and ltrim(i.control, '0') = ltrim(%(control)s, '0')
 order by i.made_at desc, i.interchange_id desc
 limit %(limit)s;

-- resend --
-- The newest that went out under the number goes once more, byte for byte; gives none where a sender has it just now.
update interchanges
   set state = 'waiting',
       attempts = 0,
       due_at = %(now)s,
       answer_due_at = null,
       answered_at = null
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and interchange_id = (
           select n.interchange_id
             from interchanges as n
            where n.part = %(part)s
              and n.system = %(system)s
              and n.direction = 'out'
              and n.number = %(number)s
              and n.state <> 'written'
              -- Dead messages that were never sent go again by themselves, in another interchange.
              and (n.kind = 'acknowledgment' or n.state <> 'dead' or n.sent_at is not null)
            order by n.made_at desc, n.interchange_id desc
            limit 1
       )
returning interchange_id, kind, control, sets, octet_length(body);

-- stop_waiting --
-- Its messages go in another interchange: nobody waits for its acknowledgment any more.
update interchanges
   set answer_due_at = null
 where part = %(part)s
   and system = %(system)s
   and direction = 'out'
   and interchange_id = %(interchange_id)s;
