-- Orders, their events, attempts and fills; workers' epochs; running totals.

-- One row per order, kept small because every transition rewrites it (the other tables call it by `seq`): what claims, lists and fences look at
-- stands in columns, the rest in `state` (JSON). The two large parts, the request and the chosen route, stay
-- in the event that brought them: `accepted_sequence`, `routed_sequence`.
CREATE TABLE orders (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    client_order_id TEXT,
    wallet TEXT NOT NULL,
    input_mint TEXT NOT NULL,
    output_mint TEXT NOT NULL,
    dialect TEXT NOT NULL,
    priority INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    ready_at_ms INTEGER,
    owner_epoch INTEGER,
    ended_ms INTEGER,
    accepted_sequence INTEGER NOT NULL,
    routed_sequence INTEGER,
    state TEXT NOT NULL
);

CREATE UNIQUE INDEX orders_client ON orders (account, client_order_id) WHERE client_order_id IS NOT NULL;

-- The queue: due or delayed, and in nobody's hands.
CREATE INDEX orders_ready ON orders (priority DESC, ready_at_ms)
    WHERE ready_at_ms IS NOT NULL AND owner_epoch IS NULL;

CREATE INDEX orders_owned ON orders (owner_epoch) WHERE owner_epoch IS NOT NULL;

-- The lists. `status` is indexed only where it no longer changes; within an account, an order that has not
-- ended is found among the few that have not.
CREATE INDEX orders_by_account ON orders (account, id);
CREATE INDEX orders_by_wallet ON orders (wallet, id);
CREATE INDEX orders_by_pair ON orders (input_mint, output_mint, id);
CREATE INDEX orders_open ON orders (account, id) WHERE ended_ms IS NULL;
CREATE INDEX orders_ended ON orders (account, status, id) WHERE ended_ms IS NOT NULL;

-- The log: never changed. `sequence` has no gaps.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    order_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (order_seq, number)
);

-- Signed transactions. `is_open`: built, sent or landed, so that it may land or has landed. Amounts that need 64 unsigned bits are decimal text.
CREATE TABLE attempts (
    order_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    status TEXT NOT NULL,
    signature TEXT NOT NULL UNIQUE,
    raw BLOB NOT NULL,
    last_valid_block_height INTEGER NOT NULL,
    limit_units TEXT NOT NULL,
    marker_seed TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    error TEXT,
    slot INTEGER,
    fee_lamports INTEGER NOT NULL,
    PRIMARY KEY (order_seq, number)
);

-- At most one attempt of an order may be able to land.
CREATE UNIQUE INDEX attempts_open ON attempts (order_seq) WHERE is_open = 1;

CREATE TABLE fills (
    signature TEXT PRIMARY KEY,
    order_seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    amount_in TEXT NOT NULL,
    amount_out TEXT NOT NULL,
    fee_lamports INTEGER NOT NULL,
    rent_lamports INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
);

CREATE INDEX fills_by_order ON fills (order_seq);

-- Workers' lives. `heartbeat_ms` is on the store's own clock.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    worker TEXT NOT NULL,
    heartbeat_ms INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0
);

-- One row, written with every flush: how many orders there are of each status, in hands, and waiting.
-- `due` counts those of `ready` that were due at `watermark_ms`.
CREATE TABLE totals (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    by_status TEXT NOT NULL,
    leased INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    due INTEGER NOT NULL,
    watermark_ms INTEGER NOT NULL
);

INSERT INTO totals VALUES (1, '{}', 0, 0, 0, 0);

-- An order with everything that belongs to it.
CREATE VIEW order_rows AS
SELECT
    o.id, o.account, o.client_order_id, o.wallet, o.input_mint, o.output_mint, o.dialect, o.priority,
    o.created_ms, o.status, o.version, o.ready_at_ms, o.owner_epoch, o.ended_ms, o.seq, o.state,
    a.body AS accepted, r.body AS routed
FROM orders AS o
JOIN events AS a ON a.sequence = o.accepted_sequence
LEFT JOIN events AS r ON r.sequence = o.routed_sequence;

-- The priorities that occur in the queue, each found by one seek.
CREATE VIEW queue_priorities AS
WITH RECURSIVE levels (priority) AS (
    SELECT max(priority) FROM orders WHERE ready_at_ms IS NOT NULL AND owner_epoch IS NULL
    UNION ALL
    SELECT (
        SELECT max(o.priority) FROM orders AS o
        WHERE o.ready_at_ms IS NOT NULL AND o.owner_epoch IS NULL AND o.priority < levels.priority
    )
    FROM levels WHERE levels.priority IS NOT NULL
)
SELECT priority FROM levels WHERE priority IS NOT NULL;
