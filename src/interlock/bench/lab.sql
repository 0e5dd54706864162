-- checks --
-- reads all parts: what must hold after a measure, counted over the whole database of that measure.
select (select count(*) from messages where outcome = 'processed'),
       (select count(*) from messages),
       (select count(*) from orders),
       (select count(*) - count(distinct subject) from messages)
           + (select coalesce(sum(attempts - 1 + conflicts), 0) from ledger),
       (select count(*)
          from (select part, sku, node, sum(physical) as physical, sum(unsellable) as unsellable,
                       sum(reserved) as reserved
                  from movements
                 group by part, sku, node) as m
          full join positions as p using (part, sku, node)
         where (p.physical, p.unsellable, p.reserved) is distinct from (m.physical, m.unsellable, m.reserved)),
       (select count(*) from positions where reserved > physical - unsellable),
       (select coalesce(sum(allocated + released + packed), 0) from reservations)
           - (select coalesce(sum(reserved), 0) from positions);

-- hot_left --
-- Units of these SKUs that are still to be sold.
select coalesce(sum(physical - unsellable - reserved), 0)
  from positions
 where sku = any(%(skus)s);

-- open_or_canceled --
-- reads all parts: units that orders asked for and that were not promised to them.
select coalesce(sum(open + canceled), 0)
  from lines;

-- facts --
-- What the server is, and whether it keeps what it says.
select current_setting('server_version'),
       (select jsonb_object_agg(name, setting || coalesce(' ' || unit, ''))
          from pg_settings
         where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_compression', 'wal_level',
                        'shared_buffers', 'max_wal_size', 'data_checksums', 'commit_delay', 'wal_sync_method',
                        'autovacuum')),
       current_setting('data_directory'),
       pg_backend_pid();
