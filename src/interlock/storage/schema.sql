-- The whole truth of the database. Read it from the top: it is meant to be read.
--
-- Two families of tables, and `part` (0..63) leads every key of both. In the *order family* part is part_of(order id), in the
-- *stock family* part_of(sku). A transaction touches one part of the order family, and the stock last.
-- There are no foreign keys on the hot tables: what they would say, `interlock audit` proves (decisions/0004).
-- `subject` is an order's id or, for the stock actions, a SKU: whatever a command changes.


-- Coordination -------------------------------------------------------------------------------------------------------------

-- One row for each part. Who holds its row lock works on the part; the lease dies with the connection.
create table part_lock (
    part smallint primary key
);
insert into part_lock (part) select generate_series(0, 63);


-- Messages: what came in -----------------------------------------------------------------------------------------------------

-- A file that was dropped: its identity and what became of its rows. The same bytes twice are a no-op.
-- `part` is part_of(sha256 as hex).
create table files (
    part           smallint    not null,
    sha256         text        not null,
    system         text        not null,
    name           text        not null,               -- as the system named it
    records_kind   text        not null,               -- sales, stock_counts ...
    bytes          bigint      not null,
    received_at    timestamptz not null,
    finished_at    timestamptz,                        -- null while rows are still being taken in
    rows           bigint      not null default 0,     -- data rows read; equals the sum of the next two and `taken` rows
    rows_rejected  bigint      not null default 0,
    records        bigint      not null default 0,     -- messages made of the other rows
    times_seen     integer     not null default 1,
    primary key (part, system, sha256)
);

-- One record that came in, verbatim, with exactly one outcome. A file or a bulk request is many messages.
create table messages (
    part              smallint    not null,
    subject           text        not null,            -- what it wants to change; its own id where that is unknown
    message_id        uuid        not null,            -- ours, by time (UUIDv7): the order of arrival
    system            text        not null,
    source_message_id text,                            -- the source's own id for it, or its Idempotency-Key
    file              text,                            -- sha256 of the file it came in
    record            text,                            -- where in the file or request: "rows 17-21", "line 3"
    received_at       timestamptz not null,
    occurred_at       timestamptz,                     -- when the source says it happened
    time_zone         text,                            -- and in which zone it said so
    trace_id          text,
    content_type      text        not null,
    body              bytea       not null,
    action            text,                            -- null while it could not be read
    business_key      text,
    command           json,                            -- canonical; only kept while it waits
    outcome           text,                            -- null while it waits
    reason            text,
    settled_at        timestamptz,
    waits_for         text,                            -- parked: what must come first
    waits_until       timestamptz,                     -- parked: when it becomes an exception; null when it has
    contract          text,                            -- name and version that it was read by; null for what is older
    context           json,                            -- what was said beside it (a topic, headers); null for nothing
    primary key (part, subject, message_id),
    check (outcome in ('processed', 'duplicate', 'stale', 'parked', 'conflict', 'refused', 'quarantined'))
) with (fillfactor = 85);

-- What waits, in the order of arrival.
create index messages_waiting on messages (part, message_id) where outcome is null;
create index messages_parked on messages (part, subject, message_id) where outcome = 'parked';
create index messages_parked_until on messages (part, waits_until) where outcome = 'parked';

-- One row for each request key that a client gave (Idempotency-Key): the same key never stands for two payloads.
-- `part` is part_of(system/key).
create table request_keys (
    part          smallint    not null,
    system        text        not null,
    request_key   text        not null,
    payload_hash  bytea       not null,
    first_seen_at timestamptz not null,
    primary key (part, system, request_key)
);

-- The ledger: one row for each (action, business key) of a subject, with the first answer.
create table ledger (
    part          smallint    not null,
    subject       text        not null,
    action        text        not null,
    business_key  text        not null,
    payload_hash  bytea       not null,
    system        text        not null,
    first_message uuid        not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    attempts      integer     not null default 1,
    conflicts     integer     not null default 0,
    outcome       text        not null,                -- processed, stale, refused, parked
    answer        json        not null,
    primary key (part, subject, action, business_key)
) with (fillfactor = 90);


-- The newest statement of each source about each thing: an order as a whole, the stock of a SKU at a node.
create table versions (
    part       smallint    not null,
    subject    text        not null,
    fact       text        not null,                   -- order.create, stock.count/NODE
    system     text        not null,
    number     bigint      not null,                   -- the source's own, or its time in microseconds
    changed_at timestamptz not null,
    primary key (part, subject, fact, system)
) with (fillfactor = 90);


-- What each of two masters said of a fact during a migration: its facts as they are compared, and how they compare with what
-- the other had said before. The first word of each stays.
create table dual_reports (
    part         smallint    not null,
    subject      text        not null,
    action       text        not null,
    business_key text        not null,
    system       text        not null,
    pair         text        not null,                 -- of the estate's two_masters
    facts        json        not null,
    verdict      text        not null check (verdict in ('first', 'agrees', 'diverges')),
    differences  json        not null,                 -- field, first, second
    reported_at  timestamptz not null,
    primary key (part, subject, action, business_key, system)
);

create index dual_reports_by_pair on dual_reports (part, pair, reported_at);


-- The order family -----------------------------------------------------------------------------------------------------------

create table orders (
    part          smallint      not null,
    order_id      text          not null,              -- scope:source id
    system        text          not null,
    channel       text          not null,
    number        text          not null,              -- what the customer calls it
    currency      text          not null,              -- ISO 4217
    placed_at     timestamptz   not null,
    created_at    timestamptz   not null,
    time_zone     text          not null,              -- the source's zone
    word          text          not null,              -- the source's own word for its state
    fulfillment   text          not null,              -- delivery, bopis, ship_to_store, carry_out
    destination   json,
    pickup_node   text,
    customer      text          not null,
    total         numeric       not null,
    tax           numeric       not null,
    shipping      numeric       not null,
    state         text          not null,              -- derived from the units, kept for queues
    seq           integer       not null,              -- number of its last event
    hold_attempts integer       not null,              -- how often its open units were tried in vain
    closed_at     timestamptz,
    wake_at       timestamptz,                         -- when time itself acts on it next
    recipient     json,                                -- who takes delivery, for the label
    primary key (part, order_id)
) with (fillfactor = 85);

create index orders_by_number on orders (part, number);
create index orders_waking on orders (part, wake_at) where wake_at is not null;

-- A line's units are in seven places, and add up to what was ordered.
create table lines (
    part        smallint not null,
    order_id    text     not null,
    line_no     integer  not null,
    sku         text     not null,
    source_sku  text     not null,
    uom         text     not null,
    unit_price  numeric  not null,
    quantity    numeric  not null check (quantity > 0),
    open        numeric  not null check (open >= 0),
    allocated   numeric  not null check (allocated >= 0),
    released    numeric  not null check (released >= 0),
    packed      numeric  not null check (packed >= 0),
    shipped     numeric  not null check (shipped >= 0),
    canceled    numeric  not null check (canceled >= 0),
    returned    numeric  not null check (returned >= 0),
    refunded    numeric  not null check (refunded >= 0),
    return_due  numeric  not null check (return_due >= 0),
    primary key (part, order_id, line_no),
    check (open + allocated + released + packed + shipped + canceled + returned = quantity)
) with (fillfactor = 85);

-- The part of an order given to one node.
create table assignments (
    part            smallint    not null,
    order_id        text        not null,
    assignment_no   integer     not null,
    node            text        not null,
    state           text        not null,              -- derived from its units
    created_at      timestamptz not null,
    released_at     timestamptz,
    acknowledged_at timestamptz,
    warehouse_ref   text        not null,              -- the node's own number for it
    primary key (part, order_id, assignment_no)
) with (fillfactor = 85);

create index assignments_by_warehouse_ref on assignments (part, warehouse_ref) where warehouse_ref <> '';

-- Units of a SKU at a node held for a line, and what became of them.
create table reservations (
    part          smallint not null,
    order_id      text     not null,
    line_no       integer  not null,
    assignment_no integer  not null,
    sku           text     not null,
    node          text     not null,
    quantity      numeric  not null check (quantity > 0),
    allocated     numeric  not null check (allocated >= 0),
    released      numeric  not null check (released >= 0),
    packed        numeric  not null check (packed >= 0),
    shipped       numeric  not null check (shipped >= 0),
    canceled      numeric  not null check (canceled >= 0),
    rejected      numeric  not null check (rejected >= 0),
    primary key (part, order_id, line_no, assignment_no),
    check (allocated + released + packed + shipped + canceled + rejected = quantity)
) with (fillfactor = 85);

-- What physically left.
create table shipments (
    part          smallint    not null,
    order_id      text        not null,
    shipment_no   integer     not null,
    assignment_no integer     not null,
    node          text        not null,
    ref           text        not null,                -- the node's own number for it
    shipped_at    timestamptz not null,
    primary key (part, order_id, shipment_no)
);

create index shipments_by_ref on shipments (part, ref);

create table shipment_lines (
    part        smallint not null,
    order_id    text     not null,
    shipment_no integer  not null,
    line_no     integer  not null,
    quantity    numeric  not null check (quantity > 0),
    primary key (part, order_id, shipment_no, line_no)
);

create table packages (
    part        smallint not null,
    order_id    text     not null,
    shipment_no integer  not null,
    package_no  integer  not null,
    tracking    text     not null,
    carrier     text     not null,
    primary key (part, order_id, shipment_no, package_no)
);

create index packages_by_tracking on packages (part, tracking);

-- One financial status for each order.
create table payments (
    part       smallint not null,
    order_id   text     not null,
    currency   text     not null,
    authorized numeric  not null check (authorized >= 0),
    captured   numeric  not null check (captured >= 0),
    refunded   numeric  not null check (refunded >= 0),
    primary key (part, order_id),
    check (captured <= authorized and refunded <= captured)
) with (fillfactor = 85);

-- What the customer may send back, and what of it came.
create table return_lines (
    part     smallint not null,
    order_id text     not null,
    ref      text     not null,                        -- the return's number (RMA)
    line_no  integer  not null,
    due      numeric  not null check (due >= 0),
    received numeric  not null check (received >= 0),
    primary key (part, order_id, ref, line_no)
) with (fillfactor = 85);

create index return_lines_by_ref on return_lines (part, ref);

-- What happened, numbered per order without a gap.
create table events (
    part        smallint    not null,
    order_id    text        not null,
    seq         integer     not null,
    type        text        not null,
    body        json        not null,
    message_id  uuid        not null,                  -- what caused it
    system      text        not null,
    occurred_at timestamptz,                           -- by the source's clock
    recorded_at timestamptz not null,                  -- by ours
    position    bigint      not null,                  -- in its part, from 1 in the order of the commits, without a gap
    primary key (part, order_id, seq)
);

create unique index events_by_position on events (part, position);

-- What we have to tell receivers, in order per order.
create table outbox (
    part         smallint    not null,
    order_id     text        not null,
    seq          integer     not null,                 -- the event that caused it
    receiver     text        not null,                 -- a system
    message      text        not null,                 -- shipment.release, shipment.cancel
    assignment_no integer    not null,
    body         json        not null,
    created_at   timestamptz not null,
    state        text        not null default 'waiting' check (state in ('waiting', 'sent', 'dead')),
    attempts     integer     not null default 0,
    due_at       timestamptz not null,                 -- when to try next; moved ahead while a sender has it
    batch        uuid,                                 -- what was sent together: the same again if a sender died
    sent_at      timestamptz,
    answer_due_at timestamptz,                         -- when its acknowledgment is overdue; null: none is awaited
    answered_at  timestamptz,
    last_error   text,
    note         text,                                 -- sent without being sent: why it need not go
    primary key (part, order_id, seq, receiver, message, assignment_no)
) with (fillfactor = 70);

create index outbox_waiting on outbox (part, receiver, due_at) where state = 'waiting';
create index outbox_abandoned on outbox (part, receiver, due_at) where state = 'waiting' and batch is not null;
create index outbox_unanswered on outbox (part, answer_due_at) where answered_at is null and answer_due_at is not null;

-- The pace of each receiver (GCRA): when the next message may go at the earliest.
create table receivers (
    receiver text primary key,
    next_at  timestamptz not null
);

-- The last control number given to each system: no interchange to it has that of another one. `part` is part_of(system).
create table control_numbers (
    part   smallint not null,
    system text     not null,
    last   bigint   not null,
    primary key (part, system)
) with (fillfactor = 50);

-- An interchange or numbered file that came in or goes out, and what was acknowledged of it. `part` is part_of(system).
-- One that goes out keeps its bytes: whenever it is sent again, it is the same.
create table interchanges (
    part           smallint    not null,
    system         text        not null,                -- whom it came from, or goes to
    direction      text        not null check (direction in ('in', 'out')),
    interchange_id uuid        not null,                -- ours; of what goes out, that of the batch or derived from it
    kind           text        not null check (kind in ('messages', 'acknowledgment')),
    standard       text        not null,                -- x12, edifact, idoc_xml ...
    number         bigint,                              -- out: its control number
    control        text        not null,                -- the same as written; in: whatever the partner wrote
    partner        text        not null default '',     -- in: its sender, qualifier:id
    version        text        not null default '',
    content        bytea,                               -- in: SHA-256 of what was in it
    name           text        not null,                -- the file, topic or request that it came in or goes out as
    made_at        timestamptz not null,                -- when it came in first, or was written
    groups         bigint[]    not null default '{}',   -- out: control numbers of its groups
    contents       json        not null,                -- its sets: kind, control numbers, state, message or errors
    sets           integer     not null,
    rejected       integer     not null default 0,
    body           bytea,                               -- out: all of it
    answers        uuid,                                -- acknowledgment: the interchange that it answers
    state          text        not null check (state in ('received', 'written', 'waiting', 'sent', 'dead', 'accepted',
                                                         'with_errors', 'partly', 'rejected')),
    attempts       integer     not null default 0,
    due_at         timestamptz,                         -- waiting: when to try next; moved ahead while a sender has it
    sent_at        timestamptz,
    answer_due_at  timestamptz,                         -- when its acknowledgment is overdue; null: none is awaited
    answered_at    timestamptz,
    last_error     text,
    times          integer     not null default 1,      -- in: how often it came
    primary key (part, system, direction, interchange_id)
) with (fillfactor = 85);

create unique index interchanges_came_in on interchanges (part, system, partner, control, content) where direction = 'in';
create index interchanges_by_number on interchanges (part, system, number) where direction = 'out';
create index interchanges_waiting on interchanges (part, system, due_at) where state = 'waiting';
create index interchanges_unanswered on interchanges (part, answer_due_at) where answered_at is null and answer_due_at is not null;
create index interchanges_answering on interchanges (part, system, answers) where answers is not null;

-- Work for a person.
create table exceptions (
    part         smallint    not null,
    subject      text        not null,
    exception_id text        not null,                 -- reason/what: the same trouble again is the same row
    reason       text        not null,
    explanation  text        not null,
    system       text        not null,                 -- whose message showed it; "" where none did
    message_id   uuid,
    owner        text        not null,
    opened_at    timestamptz not null,
    due_at       timestamptz not null,
    times        integer     not null default 1,
    last_seen_at timestamptz not null,
    closed_at    timestamptz,
    closed_by    text,
    evidence     text,
    primary key (part, subject, exception_id),
    check (closed_at is null or (closed_by is not null and evidence is not null))
) with (fillfactor = 85);

create index exceptions_open on exceptions (part, due_at) where closed_at is null;


-- The stock family -------------------------------------------------------------------------------------------------------------

-- Stock of one SKU at one node. Available is physical less unsellable; sellable is that less reserved less the buffer.
create table positions (
    part            smallint    not null,
    sku             text        not null,
    node            text        not null,
    physical        numeric     not null,
    unsellable      numeric     not null check (unsellable >= 0),
    reserved        numeric     not null check (reserved >= 0),
    excluded_until  timestamptz,                       -- sourcing leaves this node out for this SKU until then
    excluded_reason text,
    changed_at      timestamptz not null,
    primary key (part, sku, node)
) with (fillfactor = 70);

-- What changed a position, one append-only row for each cause. Repairs are further rows.
create table movements (
    part        smallint    not null,
    sku         text        not null,
    node        text        not null,
    cause       text        not null,                  -- order id/event number/place, or the stock action's key
    kind        text        not null,                  -- reserve, unreserve, ship, short_pick, damage, return, count, adjust, sale
    physical    numeric     not null,
    unsellable  numeric     not null,
    reserved    numeric     not null,
    recorded_at timestamptz not null,
    primary key (part, sku, node, cause)
);

-- Orders that a node was given on a day (its own), against its capacity. `part` is part_of(node).
create table node_days (
    part   smallint not null,
    node   text     not null,
    day    date     not null,
    orders integer  not null check (orders >= 0),
    primary key (part, node, day)
) with (fillfactor = 50);


-- What is seen of callers at the edge ------------------------------------------------------------------------------------------

-- How long after its stated time each live message came, as the least and the most of five minutes (`slot` is their begin).
-- A time that lies ahead of ours is a negative lag. `part` is part_of(system).
create table clock_lags (
    part      smallint         not null,
    system    text             not null,
    slot      timestamptz      not null,
    messages  bigint           not null,
    lag_min_s double precision not null,
    lag_max_s double precision not null,
    last_at   timestamptz      not null,
    primary key (part, system, slot)
);

-- What systems use of our contracts, counted by day: messages of a version, and of a deprecated `field` (else ''). `part` is
-- part_of(system).
create table contract_use (
    part     smallint    not null,
    system   text        not null,
    contract text        not null,                      -- commands/order.create
    version  integer     not null,
    field    text        not null,
    day      date        not null,
    messages bigint      not null,
    last_at  timestamptz not null,
    primary key (part, system, contract, version, field, day)
) with (fillfactor = 50);

-- Requests whose signature was refused, counted over five minutes. Nothing else is kept of them. `part` is part_of(system).
create table signature_refusals (
    part     smallint    not null,
    system   text        not null,
    slot     timestamptz not null,
    refusals bigint      not null,
    last_why text        not null,                     -- what was wrong with the last of them
    last_at  timestamptz not null,
    primary key (part, system, slot)
);

-- A difference between what a system sends and what its contract says, once for each kind and place; the rest is the last example.
-- `part` is part_of(system).
create table contract_drift (
    part       smallint    not null,
    system     text        not null,
    contract   text        not null,
    version    text        not null,
    kind       text        not null check (
                   kind in ('unknown_version', 'unknown_field', 'missing_field', 'changed_type', 'other')),
    path       text        not null,                   -- lines[].price: without the places in lists
    digest     text        not null,                   -- of the contract that was in force
    is_held    boolean     not null,                   -- whether the message was quarantined
    first_at   timestamptz not null,
    last_at    timestamptz not null,
    message_id uuid,
    expected   text        not null,
    found      text        not null,
    primary key (part, system, contract, version, kind, path)
) with (fillfactor = 50);

-- How many messages showed it within an hour; of the kinds `checked`, `warned` and `held`, how many messages there were at all, how
-- many went on with drift, and how many were quarantined for it. `part` is part_of(system).
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


-- What we ask ourselves --------------------------------------------------------------------------------------------------------

-- How far a link that we ask ourselves (an API, a table) has been taken: everything up to the position has its outcome.
-- One process at a time asks: the holder, until `held_until` unless it says so again. `part` is part_of(system).
create table link_positions (
    part       smallint    not null,
    system     text        not null,
    link       text        not null,                   -- its name, or its kind and address
    position   json,                                   -- what the transport has written; null while nothing was taken
    moved_at   timestamptz,
    holder     uuid,
    held_until timestamptz,
    primary key (part, system, link)
) with (fillfactor = 50);


-- What tills count --------------------------------------------------------------------------------------------------------------

-- The number of one transaction of a register, with or without money. `part` is part_of(system/store).
create table pos_marks (
    part         smallint    not null,
    system       text        not null,
    store        text        not null,                 -- our node, where the estate has an alias
    register     text        not null,
    business_day date        not null,
    number       bigint      not null,
    kind         text        not null,                 -- sale, return, void, no_sale, training, close ...
    digest       bytea       not null,                 -- of the bytes that came first under this number
    at           timestamptz,                          -- by the till's clock
    received_at  timestamptz not null,
    times        integer     not null default 1,       -- how often it came
    reused       integer     not null default 0,       -- how often of those with other bytes
    primary key (part, system, store, register, business_day, number)
) with (fillfactor = 95);

-- One register's business day, and what is stated of it: complete, or what is missing.
create table pos_days (
    part          smallint    not null,
    system        text        not null,
    store         text        not null,
    register      text        not null,
    business_day  date        not null,
    began_at      timestamptz not null,                -- when its first mark came
    changed_at    timestamptz not null,                -- when the last one came that was new
    look_at       timestamptz,                         -- when it is to be stated again
    closed_at     timestamptz,                         -- when its close came
    said_first    bigint,                              -- what the register says of the day
    said_last     bigint,
    said_count    bigint,
    late          integer     not null default 0,      -- transactions that came after it was closed, or stated without a close
    state         text        not null default 'open' check (state in ('open', 'complete', 'incomplete')),
    stated_at     timestamptz,
    due_at        timestamptz,                         -- when it is stated without a close
    transactions  bigint      not null default 0,
    first_number  bigint,                              -- in the order in which numbers were given
    last_number   bigint,
    repeats       bigint      not null default 0,
    reused        bigint      not null default 0,
    missing       json        not null default '[]',   -- ranges [first, last], the first 500
    missing_count bigint      not null default 0,
    uncounted     bigint      not null default 0,      -- transactions that the register counted beyond all these
    told_missing  json        not null default '[]',   -- what people were told of, so that they are told once
    told_reused   bigint      not null default 0,
    told_open     boolean     not null default false,
    primary key (part, system, store, register, business_day)
) with (fillfactor = 80);

create index pos_days_by_day on pos_days (part, business_day);
create index pos_days_looking on pos_days (part, look_at) where look_at is not null;

-- What the edges of stores said last. `part` is part_of(system/edge), which is the store's where the edge has its name.
create table edges (
    part      smallint    not null,
    system    text        not null,
    edge      text        not null,
    waiting   bigint      not null,                 -- behind what it sent then
    oldest_at timestamptz,                          -- when it had taken that
    seen_at   timestamptz not null,
    primary key (part, system, edge)
) with (fillfactor = 70);


-- Who is sent the events -------------------------------------------------------------------------------------------------------

-- A subscription of the estate as a whole. `part` is part_of(its name).
create table subscriptions (
    part         smallint    not null,
    subscription text        not null,
    begun_at     timestamptz not null,                 -- when it was seen first
    failures     integer     not null default 0,       -- in a row, over all parts
    failing_since timestamptz,                         -- the first of them
    quiet_until  timestamptz,                          -- until then the subscriber wants nothing (Retry-After)
    paused_at    timestamptz,
    paused_by    text,                                 -- interlock, or who asked for it
    paused_why   text,
    is_told      boolean     not null default false,   -- an exception says that it was paused, and is not closed yet
    primary key (part, subscription)
) with (fillfactor = 50);

-- How far a subscription has been served in a part: everything up to the position was delivered, did not concern it, or is a
-- letter. One process at a time serves it: the holder, until `held_until`.
create table subscription_parts (
    part         smallint    not null,
    subscription text        not null,
    position     bigint      not null,
    moved_at     timestamptz not null,
    sent         bigint      not null default 0,       -- events that were delivered, repetitions included
    failures     integer     not null default 0,       -- attempts at the event after the position that failed
    due_at       timestamptz not null,                 -- when to try next
    last_error   text,
    holder       uuid,
    held_until   timestamptz,
    primary key (part, subscription)
) with (fillfactor = 50);

-- Events that a subscription could not be given (dead), and those that go to it out of turn because a person wants it (waiting).
create table subscription_letters (
    part         smallint    not null,                 -- of the event
    subscription text        not null,
    position     bigint      not null,
    order_id     text        not null,
    seq          integer     not null,
    state        text        not null check (state in ('dead', 'waiting')),
    attempts     integer     not null,
    put_at       timestamptz not null,
    due_at       timestamptz not null,                 -- waiting: when to try next
    last_error   text,
    primary key (part, subscription, position)
) with (fillfactor = 70);

create index subscription_letters_waiting on subscription_letters (part, subscription, due_at) where state = 'waiting';
