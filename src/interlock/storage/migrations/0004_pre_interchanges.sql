-- Interchanges: their numbers, what was acknowledged of them, and a word on messages that need not go.

-- The last control number given to each system: no interchange to it has that of another one. `part` is part_of(system).
create table control_numbers (
    part   smallint not null,
    system text     not null,
    last   bigint   not null,
    primary key (part, system)
) with (fillfactor = 50);

-- An interchange or numbered file that came in or goes out, and what was acknowledged of it. `part` is part_of(system).
-- One that goes out keeps its bytes: whenever it is sent again, it is the same.
create table interchanges (
    part           smallint    not null,
    system         text        not null,                -- whom it came from, or goes to
    direction      text        not null check (direction in ('in', 'out')),
    interchange_id uuid        not null,                -- ours; of what goes out, that of the batch or derived from it
    kind           text        not null check (kind in ('messages', 'acknowledgment')),
    standard       text        not null,                -- x12, edifact, idoc_xml ...
    number         bigint,                              -- out: its control number
    control        text        not null,                -- the same as written; in: whatever the partner wrote
    partner        text        not null default '',     -- in: its sender, qualifier:id
    version        text        not null default '',
    content        bytea,                               -- in: SHA-256 of what was in it
    name           text        not null,                -- the file, topic or request that it came in or goes out as
    made_at        timestamptz not null,                -- when it came in first, or was written
    groups         bigint[]    not null default '{}',   -- out: control numbers of its groups
    contents       json        not null,                -- its sets: kind, control numbers, state, message or errors
    sets           integer     not null,
    rejected       integer     not null default 0,
    body           bytea,                               -- out: all of it
    answers        uuid,                                -- acknowledgment: the interchange that it answers
    state          text        not null check (state in ('received', 'written', 'waiting', 'sent', 'dead', 'accepted',
                                                         'with_errors', 'partly', 'rejected')),
    attempts       integer     not null default 0,
    due_at         timestamptz,                         -- waiting: when to try next; moved ahead while a sender has it
    sent_at        timestamptz,
    answer_due_at  timestamptz,                         -- when its acknowledgment is overdue; null: none is awaited
    answered_at    timestamptz,
    last_error     text,
    times          integer     not null default 1,      -- in: how often it came
    primary key (part, system, direction, interchange_id)
) with (fillfactor = 85);

create unique index interchanges_came_in on interchanges (part, system, partner, control, content) where direction = 'in';
create index interchanges_by_number on interchanges (part, system, number) where direction = 'out';
create index interchanges_waiting on interchanges (part, system, due_at) where state = 'waiting';
create index interchanges_unanswered on interchanges (part, answer_due_at) where answered_at is null and answer_due_at is not null;
create index interchanges_answering on interchanges (part, system, answers) where answers is not null;

alter table outbox add column note text;
