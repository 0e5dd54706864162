-- Versions of what sources state as a whole, and until when what is parked may wait.

create table versions (
    part       smallint    not null,
    subject    text        not null,
    fact       text        not null,
    system     text        not null,
    number     bigint      not null,
    changed_at timestamptz not null,
    primary key (part, subject, fact, system)
) with (fillfactor = 90);

alter table messages add column waits_until timestamptz;

-- What waits already has the patience that counts where the estate says nothing.
update messages
   set waits_until = received_at + interval '1 day'
 where outcome = 'parked';

create index messages_parked_until on messages (part, waits_until) where outcome = 'parked';
