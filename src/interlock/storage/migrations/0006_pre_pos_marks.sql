-- What tills count: the number of each transaction, and what is stated of each register's day.

create table pos_marks (
    part         smallint    not null,
    system       text        not null,
    store        text        not null,
    register     text        not null,
    business_day date        not null,
    number       bigint      not null,
    kind         text        not null,
    digest       bytea       not null,
    at           timestamptz,
    received_at  timestamptz not null,
    times        integer     not null default 1,
    reused       integer     not null default 0,
    primary key (part, system, store, register, business_day, number)
) with (fillfactor = 95);

create table pos_days (
    part          smallint    not null,
    system        text        not null,
    store         text        not null,
    register      text        not null,
    business_day  date        not null,
    began_at      timestamptz not null,
    changed_at    timestamptz not null,
    look_at       timestamptz,
    closed_at     timestamptz,
    said_first    bigint,
    said_last     bigint,
    said_count    bigint,
    late          integer     not null default 0,
    state         text        not null default 'open' check (state in ('open', 'complete', 'incomplete')),
    stated_at     timestamptz,
    due_at        timestamptz,
    transactions  bigint      not null default 0,
    first_number  bigint,
    last_number   bigint,
    repeats       bigint      not null default 0,
    reused        bigint      not null default 0,
    missing       json        not null default '[]',
    missing_count bigint      not null default 0,
    uncounted     bigint      not null default 0,
    told_missing  json        not null default '[]',
    told_reused   bigint      not null default 0,
    told_open     boolean     not null default false,
    primary key (part, system, store, register, business_day)
) with (fillfactor = 80);

create index pos_days_by_day on pos_days (part, business_day);
create index pos_days_looking on pos_days (part, look_at) where look_at is not null;

create table edges (
    part      smallint    not null,
    system    text        not null,
    edge      text        not null,
    waiting   bigint      not null,
    oldest_at timestamptz,
    seen_at   timestamptz not null,
    primary key (part, system, edge)
) with (fillfactor = 70);
