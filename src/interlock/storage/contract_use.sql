-- What systems use of our contracts, by day. `part` is part_of(system).

-- add_many --
-- Add what was used in the last moments.
insert into contract_use as known (part, system, contract, version, field, day, messages, last_at)
select part, system, contract, version, field, (last_at at time zone 'UTC')::date, messages, last_at
  from unnest(%(parts)s, %(systems)s, %(contracts)s, %(versions)s, %(fields)s, %(messages)s, %(last_at)s)
       as t (part, system, contract, version, field, messages, last_at)
 order by part, system, contract, version, field
    on conflict (part, system, contract, version, field, day) do update
   set messages = known.messages + excluded.messages,
       last_at = greatest(known.last_at, excluded.last_at);

-- read_many --
-- What was used since a day, by system, contract, version and field.
select system, contract, version, field, sum(messages)::bigint, min(day), max(last_at)
  from contract_use
 where part = any(%(parts)s)
   and day >= %(since)s
 group by system, contract, version, field
 order by system, contract, version, field;

-- forget_many --
-- Drop what is too old to be looked at.
delete from contract_use
 where part = %(part)s
   and day < %(before)s;
