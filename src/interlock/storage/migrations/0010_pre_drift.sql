-- What partners send that their contracts do not say: every kind and place of it once, and how often, by the hour.

create table contract_drift (
    part       smallint    not null,
    system     text        not null,
    contract   text        not null,
    version    text        not null,
    kind       text        not null check (
                   kind in ('unknown_version', 'unknown_field', 'missing_field', 'changed_type', 'other')),
    path       text        not null,
    digest     text        not null,
    is_held    boolean     not null,
    first_at   timestamptz not null,
    last_at    timestamptz not null,
    message_id uuid,
    expected   text        not null,
    found      text        not null,
    primary key (part, system, contract, version, kind, path)
) with (fillfactor = 50);

create table contract_drift_slots (
    part     smallint    not null,
    system   text        not null,
    contract text        not null,
    version  text        not null,
    kind     text        not null,
    path     text        not null,
    slot     timestamptz not null,
    messages bigint      not null,
    primary key (part, system, contract, version, kind, path, slot)
) with (fillfactor = 50);
