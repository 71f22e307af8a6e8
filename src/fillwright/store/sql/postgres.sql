-- claim_orders: Claim due orders: whether the epoch has ended, and an order a row, or a row without one.
SELECT c.taken IS NULL, r.* FROM claim($1, $2, $3, $4) AS c (taken)
LEFT JOIN LATERAL claimed_orders(c.taken) AS r ON true;

-- claim_these: Claim these, where they are due and free.
SELECT c.taken IS NULL, r.* FROM claim_these($1, $2, $3) AS c (taken)
LEFT JOIN LATERAL claimed_orders(c.taken) AS r ON true;

-- claim_in_line: Claim due orders, one at a time for each wallet.
SELECT c.taken IS NULL, r.* FROM claim_in_line($1, $2, $3, $4) AS c (taken)
LEFT JOIN LATERAL claimed_orders(c.taken) AS r ON true;

-- claim_within: Claim within a number of orders a minute over all workers.
SELECT c.taken IS NULL, r.* FROM claim_within($1, $2, $3, $4, $5, $6) AS c (taken)
LEFT JOIN LATERAL claimed_orders(c.taken) AS r ON true;

-- line_up: Put every open order into its wallet's line.
INSERT INTO lines (wallet, order_id)
SELECT o.wallet, p.order_id FROM progress AS p JOIN orders AS o ON o.id = p.order_id WHERE NOT p.ended
ON CONFLICT DO NOTHING;

-- queue_state: Whether orders are begun and accepted.
SELECT state FROM queue;

-- set_queue_state: Say so.
UPDATE queue SET state = $1;

-- held_orders: The orders that an epoch holds.
SELECT o.id::text, o.status, o.version, o.created_ms, o.ready_at_ms, o.state, o.accepted, o.routed
FROM progress AS h JOIN order_rows AS o ON o.id = h.order_id
WHERE h.owner_epoch = $1;

-- register_epoch: A worker's new life.
INSERT INTO epochs (worker) VALUES ($1) RETURNING epoch;

-- beat_epoch: A sign of life; false for an epoch that has ended.
SELECT beat($1);

-- reap_epochs: End the silent; how many orders are free again.
SELECT reap($1);

-- end_epoch: End one.
SELECT bury(ARRAY[$1::bigint]);

-- standing: Where orders stand that a flush could not move.
SELECT order_id::text, version, owner_epoch FROM progress WHERE order_id = ANY ($1::uuid[]);

-- earliest_ready: When the first in the queue is due.
SELECT min((
    SELECT p.ready_at_ms FROM progress AS p
    WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority = q.priority
    ORDER BY p.ready_at_ms LIMIT 1
))
FROM queue_priorities AS q;

-- open_orders: The orders that have not ended, counted where they stand.
SELECT status, count(*) AS orders,
    count(*) FILTER (WHERE owner_epoch IS NULL AND ready_at_ms <= $1) AS due,
    count(*) FILTER (WHERE owner_epoch IS NULL AND ready_at_ms > $1) AS delayed,
    min(ready_at_ms) FILTER (WHERE owner_epoch IS NULL AND ready_at_ms <= $1) AS oldest
FROM progress WHERE NOT ended GROUP BY status;

-- ended_orders: How the others have ended, and the newest sequence.
SELECT confirmed, failed, cancelled, expired, needs_review, sequence FROM log;

-- leased_orders: How many are in a worker's hands.
SELECT count(*) FROM progress WHERE owner_epoch IS NOT NULL;

-- last_sequence: The newest event's.
SELECT sequence FROM log;

-- read_only: Whether the server refuses writes.
SELECT current_setting('transaction_read_only') = 'on';

-- bind_mode: The mode whose orders are here; this one where there was none.
SELECT bind_mode($1);

-- identity: A mark of this database, other than that of any other one, and than that of a copy.
SELECT md5(concat_ws('/', current_database(), current_schema(), (SELECT oid FROM pg_database
    WHERE datname = current_database()), 'schema_version'::regclass::oid,
    (SELECT extract(epoch FROM min(applied_at)) FROM schema_version)));

-- order_version: An order's version.
SELECT version FROM progress WHERE order_id = $1;

-- get_order: An order by its id.
SELECT id::text, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows WHERE id = $1;

-- find_order: An order by its account's own id for it.
SELECT id::text, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows
WHERE account = $1 AND client_order_id = $2;

-- list_orders: The start of a page; conditions follow.
SELECT o.id::text, o.status, o.version, o.created_ms, o.ready_at_ms, o.state, o.accepted, o.routed
FROM order_rows AS o;

-- list_endings: The start of a page of orders that have ended in one way; conditions follow.
SELECT o.id::text, o.status, o.version, o.created_ms, o.ready_at_ms, o.state, o.accepted, o.routed
FROM endings AS e JOIN order_rows AS o ON o.id = e.order_id;

-- order_events: An order's events after a number.
SELECT sequence, order_id::text, number, at_ms, status, body FROM events
WHERE order_id = $1 AND number > $2 ORDER BY number LIMIT $3;

-- all_events: The log after a sequence number.
SELECT sequence, order_id::text, number, at_ms, status, body FROM events
WHERE sequence > $1 ORDER BY sequence LIMIT $2;

-- attempts: An order's attempts.
SELECT order_id::text, number, status, signature, raw, last_valid_block_height, limit_units, marker_seed,
    created_ms, error, slot, fee_lamports
FROM attempts WHERE order_id = $1 ORDER BY number;

-- bids: The bids of an order's attempts.
SELECT attempt, number, signature, raw, unit_price, height, created_ms
FROM bids WHERE order_id = $1 ORDER BY attempt, number;

-- fills: An order's fills.
SELECT signature, order_id::text, attempt, amount_in, amount_out, fee_lamports, rent_lamports, slot, at_ms
FROM fills WHERE order_id = $1 ORDER BY at_ms, signature;
