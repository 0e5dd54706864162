-- How far each link that we ask ourselves has been taken, and which process asks it now.
--
-- link_positions: part (of the system), system, link (its key), position (JSON), moved_at, holder, held_until

-- hold --
-- Become the one who asks, or stay it; no row where another one is.
insert into link_positions as known (part, system, link, holder, held_until)
values (%(part)s, %(system)s, %(link)s, %(holder)s, %(until)s)
    on conflict (part, system, link) do update
   set holder = excluded.holder,
       held_until = excluded.held_until
 where known.holder is null
    or known.holder = excluded.holder
    or known.held_until < %(now)s
returning position;

-- move --
-- Everything up to this position has its outcome. Only the holder may say so: a process that was taken for dead must not set
-- back what its successor has done.
update link_positions
   set position = %(position)s,
       moved_at = %(now)s
 where part = %(part)s
   and system = %(system)s
   and link = %(link)s
   and holder = %(holder)s;

-- release --
-- Let another one ask.
update link_positions
   set holder = null,
       held_until = null
 where part = %(part)s
   and system = %(system)s
   and link = %(link)s
   and holder = %(holder)s;

-- look --
-- How far a link has been taken.
select position, moved_at
  from link_positions
 where part = %(part)s
   and system = %(system)s
   and link = %(link)s;
