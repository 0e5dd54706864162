-- Files that were dropped. One row for the bytes of a file, by system, whatever names they came under.
--
-- files: part (of the sha256), system, sha256 (its key), name, records_kind, bytes, received_at, finished_at (null while
--        rows are still taken in), rows, rows_rejected, records, times_seen

-- take --
-- Know the file, or find it known already: what its first arrival was called and became. A file that was begun and not
-- finished keeps its first name and is not counted again.
insert into files as known (part, sha256, system, name, records_kind, bytes, received_at)
values (%(part)s, %(sha256)s, %(system)s, %(name)s, %(records_kind)s, %(bytes)s, %(now)s)
    on conflict (part, system, sha256) do update
   set times_seen = known.times_seen + case when known.finished_at is null then 0 else 1 end
returning name, received_at, finished_at, times_seen;

-- look --
-- What is known of the file.
select name, received_at, finished_at, times_seen
  from files
 where part = %(part)s
   and system = %(system)s
   and sha256 = %(sha256)s;

-- finish --
-- All its rows have an outcome.
update files
   set finished_at = %(now)s,
       rows = %(rows)s,
       rows_rejected = %(rows_rejected)s,
       records = %(records)s
 where part = %(part)s
   and system = %(system)s
   and sha256 = %(sha256)s
   and finished_at is null;

-- forget --
-- Nothing of the file was applied: it may come again, as if for the first time.
delete from files
 where part = %(part)s
   and system = %(system)s
   and sha256 = %(sha256)s
   and finished_at is null;
