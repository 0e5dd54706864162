-- Who is sent the events, how far each has been served, and what it could not be given.

create table subscriptions (
    part         smallint    not null,
    subscription text        not null,
    begun_at     timestamptz not null,
    failures     integer     not null default 0,
    failing_since timestamptz,
    quiet_until  timestamptz,
    paused_at    timestamptz,
    paused_by    text,
    paused_why   text,
    is_told      boolean     not null default false,
    primary key (part, subscription)
) with (fillfactor = 50);

create table subscription_parts (
    part         smallint    not null,
    subscription text        not null,
    position     bigint      not null,
    moved_at     timestamptz not null,
    sent         bigint      not null default 0,
    failures     integer     not null default 0,
    due_at       timestamptz not null,
    last_error   text,
    holder       uuid,
    held_until   timestamptz,
    primary key (part, subscription)
) with (fillfactor = 50);

create table subscription_letters (
    part         smallint    not null,
    subscription text        not null,
    position     bigint      not null,
    order_id     text        not null,
    seq          integer     not null,
    state        text        not null check (state in ('dead', 'waiting')),
    attempts     integer     not null,
    put_at       timestamptz not null,
    due_at       timestamptz not null,
    last_error   text,
    primary key (part, subscription, position)
) with (fillfactor = 70);

create index subscription_letters_waiting on subscription_letters (part, subscription, due_at) where state = 'waiting';
