-- What is seen of callers at the edge: how far their clocks are from ours, and which signatures were refused.

create table clock_lags (
    part      smallint         not null,
    system    text             not null,
    slot      timestamptz      not null,
    messages  bigint           not null,
    lag_min_s double precision not null,
    lag_max_s double precision not null,
    last_at   timestamptz      not null,
    primary key (part, system, slot)
);

create table signature_refusals (
    part     smallint    not null,
    system   text        not null,
    slot     timestamptz not null,
    refusals bigint      not null,
    last_why text        not null,
    last_at  timestamptz not null,
    primary key (part, system, slot)
);
