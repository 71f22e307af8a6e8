-- Orders, their progress, events, attempts and fills; workers' epochs; the log's counter.

-- What never changes of an order: all listings' indexes are here, so no transition touches them. The request
-- itself stays in the event that brought it, number 1.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    account text NOT NULL,
    client_order_id text,
    wallet text NOT NULL,
    input_mint text NOT NULL,
    output_mint text NOT NULL,
    dialect text NOT NULL,
    priority integer NOT NULL,
    created_ms bigint NOT NULL
);

CREATE UNIQUE INDEX orders_client ON orders (account, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX orders_by_account ON orders (account, id);
CREATE INDEX orders_by_wallet ON orders (wallet, id);
CREATE INDEX orders_by_pair ON orders (input_mint, output_mint, id);

-- What changes. A transition changes `status`, `version`, `state` and `routed_number` only, which no index
-- and no index's condition looks at: heap-only updates. `routed_number`: the event that brought the route.
-- `state`: JSON of all else.
CREATE TABLE progress (
    order_id uuid PRIMARY KEY,
    priority integer NOT NULL,
    status text NOT NULL,
    version integer NOT NULL,
    ready_at_ms bigint,
    owner_epoch bigint,
    ended boolean NOT NULL,
    routed_number integer,
    state text NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);

-- The queue: due or delayed, and in nobody's hands.
CREATE INDEX progress_ready ON progress (priority DESC, ready_at_ms)
    WHERE ready_at_ms IS NOT NULL AND owner_epoch IS NULL;
CREATE INDEX progress_owned ON progress (owner_epoch) WHERE owner_epoch IS NOT NULL;
CREATE INDEX progress_open ON progress (order_id) WHERE NOT ended;

-- Orders that have ended, by how: lists by status look here, or among the open ones.
CREATE TABLE endings (
    account text NOT NULL,
    status text NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (account, status, order_id)
);
CREATE INDEX endings_by_status ON endings (status, order_id);

-- The log: never changed. `sequence` has no gaps and rises in the order of the commits.
CREATE TABLE events (
    sequence bigint PRIMARY KEY,
    order_id uuid NOT NULL,
    number integer NOT NULL,
    at_ms bigint NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    body text NOT NULL,
    UNIQUE (order_id, number)
);

-- Signed transactions. `open`: it may land, or has landed. Amounts that need 64 unsigned bits are numeric.
CREATE TABLE attempts (
    order_id uuid NOT NULL,
    number integer NOT NULL,
    status text NOT NULL,
    open boolean NOT NULL,
    signature text NOT NULL UNIQUE,
    raw bytea NOT NULL,
    last_valid_block_height bigint NOT NULL,
    limit_units numeric(20, 0) NOT NULL,
    marker_seed text NOT NULL,
    created_ms bigint NOT NULL,
    error text,
    slot bigint,
    fee_lamports bigint NOT NULL,
    PRIMARY KEY (order_id, number)
) WITH (fillfactor = 60);

-- At most one attempt of an order may be able to land.
CREATE UNIQUE INDEX attempts_open ON attempts (order_id) WHERE open;

CREATE TABLE fills (
    signature text PRIMARY KEY,
    order_id uuid NOT NULL,
    attempt integer NOT NULL,
    amount_in numeric(20, 0) NOT NULL,
    amount_out numeric(20, 0) NOT NULL,
    fee_lamports bigint NOT NULL,
    rent_lamports bigint NOT NULL,
    slot bigint NOT NULL,
    at_ms bigint NOT NULL
);
CREATE INDEX fills_by_order ON fills (order_id);

-- Workers' lives, timed by this server's clock.
CREATE TABLE epochs (
    epoch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker text NOT NULL,
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dead boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
CREATE INDEX epochs_alive ON epochs (epoch) WHERE NOT dead;

-- One row. Whoever writes events locks it last and holds it to the commit, so that sequence numbers are given
-- in the order of the commits. The others count orders that have ended.
CREATE TABLE log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL,
    confirmed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    expired bigint NOT NULL,
    needs_review bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log VALUES (true, 0, 0, 0, 0, 0, 0);

-- An order with everything that belongs to it.
CREATE VIEW order_rows AS
SELECT
    o.id, o.account, o.client_order_id, o.wallet, o.input_mint, o.output_mint, o.dialect, o.created_ms,
    p.status, p.version, p.ready_at_ms, p.state, p.ended, a.body AS accepted, r.body AS routed
FROM orders AS o
JOIN progress AS p ON p.order_id = o.id
JOIN events AS a ON a.order_id = o.id AND a.number = 1
LEFT JOIN events AS r ON r.order_id = o.id AND r.number = p.routed_number;
