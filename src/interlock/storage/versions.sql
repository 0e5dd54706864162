-- load_many --
-- The newest statements under these keys.
select v.subject, v.fact, v.system, v.number
  from unnest(%(subjects)s, %(facts)s, %(systems)s) as asked (subject, fact, system)
  join versions as v
    on v.part = %(part)s
   and v.subject = asked.subject
   and v.fact = asked.fact
   and v.system = asked.system;

-- save_many --
-- These are the newest now. Whoever holds the part is alone here, and has compared them.
insert into versions as known (part, subject, fact, system, number, changed_at)
select %(part)s, subject, fact, system, number, %(now)s
  from unnest(%(subjects)s, %(facts)s, %(systems)s, %(numbers)s) as t (subject, fact, system, number)
    on conflict (part, subject, fact, system) do update
   set number = excluded.number,
       changed_at = excluded.changed_at;
