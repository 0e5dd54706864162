-- What systems use of our contracts, counted by day.
create table contract_use (
    part     smallint    not null,
    system   text        not null,
    contract text        not null,
    version  integer     not null,
    field    text        not null,
    day      date        not null,
    messages bigint      not null,
    last_at  timestamptz not null,
    primary key (part, system, contract, version, field, day)
) with (fillfactor = 50);
