-- What each of two masters said of a fact during a migration, and how it compares with what the other had said.

create table dual_reports (
    part         smallint    not null,
    subject      text        not null,
    action       text        not null,
    business_key text        not null,
    system       text        not null,
    pair         text        not null,
    facts        json        not null,
    verdict      text        not null check (verdict in ('first', 'agrees', 'diverges')),
    differences  json        not null,
    reported_at  timestamptz not null,
    primary key (part, subject, action, business_key, system)
);

create index dual_reports_by_pair on dual_reports (part, pair, reported_at);
