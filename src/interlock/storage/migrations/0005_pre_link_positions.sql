-- How far each link that we ask ourselves has been taken, and which process asks it now.

create table link_positions (
    part       smallint    not null,
    system     text        not null,
    link       text        not null,
    position   json,
    moved_at   timestamptz,
    holder     uuid,
    held_until timestamptz,
    primary key (part, system, link)
) with (fillfactor = 50);
