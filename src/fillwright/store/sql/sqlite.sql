-- insert_order: Add an order, unless its id or its client order id is taken.
INSERT INTO orders (
    id, account, client_order_id, wallet, input_mint, output_mint, dialect, priority, created_ms,
    status, version, ready_at_ms, ended_ms, accepted_sequence, state
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- insert_event: Append to the log.
INSERT INTO events (sequence, order_seq, number, at_ms, kind, status, body)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- hot_row: What a compare-and-set looks at.
SELECT seq, version, status, ready_at_ms, owner_epoch FROM orders WHERE id = ?;

-- advance_order: A step that leaves the order where it is in the queue: touches no index.
UPDATE orders SET status = ?, version = ?, state = ? WHERE seq = ?;

-- route_order: Such a step that brings a route.
UPDATE orders SET status = ?, version = ?, state = ?, routed_sequence = ? WHERE seq = ?;

-- move_order: A step that also changes when it is due or whose it is.
UPDATE orders SET status = ?, version = ?, state = ?, ready_at_ms = ?, owner_epoch = ? WHERE seq = ?;

-- end_order: The last step: neither due nor, unless someone keeps it, in anybody's hands.
UPDATE orders
SET status = ?, version = ?, state = ?, ended_ms = ?, ready_at_ms = NULL, owner_epoch = nullif(?, 0)
WHERE seq = ?;

-- set_route: Where the log has the order's route.
UPDATE orders SET routed_sequence = ? WHERE seq = ?;

-- put_attempt: Add an attempt, or say how it is doing. The signed bytes never change.
INSERT INTO attempts (
    order_seq, number, is_open, status, signature, raw, last_valid_block_height, limit_units, marker_seed,
    created_ms, error, slot, fee_lamports
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (order_seq, number) DO UPDATE
SET is_open = excluded.is_open, status = excluded.status, error = excluded.error, slot = excluded.slot,
    fee_lamports = excluded.fee_lamports
WHERE signature = excluded.signature AND raw = excluded.raw;

-- advance_attempt: Say how an open attempt is doing that stays open: touches no index.
UPDATE attempts SET status = ?, error = ?, slot = ?, fee_lamports = ?
WHERE order_seq = ? AND number = ? AND is_open = 1 AND signature = ? AND raw = ?;

-- add_bid: Add a bid, if its attempt is open and under a marker, and its signature is its own.
INSERT INTO bids (order_seq, attempt, number, signature, raw, unit_price, height, created_ms)
SELECT a.order_seq, a.number, ?, ?, ?, ?, ?, ? FROM attempts AS a
WHERE a.order_seq = ? AND a.number = ? AND a.is_open = 1 AND a.marker_seed <> ''
    AND NOT EXISTS (SELECT 1 FROM attempts AS o WHERE o.signature = ?);

-- insert_fill: Add a fill.
INSERT INTO fills (
    signature, order_seq, attempt, amount_in, amount_out, fee_lamports, rent_lamports, slot, at_ms
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- priorities: Those that occur in the queue.
SELECT priority FROM queue_priorities;

-- due_places: The longest due orders of one priority: where they stand.
SELECT seq, ready_at_ms FROM orders
WHERE ready_at_ms IS NOT NULL AND owner_epoch IS NULL AND priority = ? AND ready_at_ms <= ?
ORDER BY ready_at_ms LIMIT ?;

-- place: Where an order stands.
SELECT seq, priority, ready_at_ms FROM orders WHERE seq = ?;

-- row_of: An order as it is claimed.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed, seq FROM order_rows WHERE seq = ?;

-- make_lines: The orders of each wallet that have not ended, in the order of acceptance.
CREATE INDEX IF NOT EXISTS orders_line ON orders (wallet) WHERE ended_ms IS NULL;

-- drop_lines: That index.
DROP INDEX IF EXISTS orders_line;

-- busy_wallets: Those with an order in a worker's hands.
SELECT wallet FROM orders WHERE owner_epoch > 0;

-- line_heads: Of each wallet, the first order that no client holds back.
WITH RECURSIVE wallets (wallet) AS (
    SELECT min(wallet) FROM orders INDEXED BY orders_line WHERE ended_ms IS NULL
    UNION ALL
    SELECT (
        SELECT min(o.wallet) FROM orders AS o INDEXED BY orders_line
        WHERE o.ended_ms IS NULL AND o.wallet > wallets.wallet
    )
    FROM wallets WHERE wallets.wallet IS NOT NULL
)
SELECT w.wallet, (
    SELECT o.seq FROM orders AS o INDEXED BY orders_line
    WHERE o.wallet = w.wallet AND o.ended_ms IS NULL AND o.ready_at_ms IS NOT NULL
        AND (o.version > 1 OR o.ready_at_ms <= ?)
    ORDER BY o.seq LIMIT 1
)
FROM wallets AS w WHERE w.wallet IS NOT NULL;

-- queue_state: Whether orders are begun and accepted.
SELECT state FROM queue;

-- set_queue_state: Say so.
UPDATE queue SET state = ?;

-- due_orders: The longest due orders of one priority.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed, seq FROM order_rows
WHERE ready_at_ms IS NOT NULL AND owner_epoch IS NULL AND priority = ? AND ready_at_ms <= ?
ORDER BY ready_at_ms LIMIT ?;

-- take_order: Put an order into a worker's hands.
UPDATE orders SET owner_epoch = ? WHERE seq = ?;

-- owned_orders: What an epoch holds.
SELECT seq, id, ready_at_ms FROM orders WHERE owner_epoch = ?;

-- held_orders: The orders that an epoch holds.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows
WHERE owner_epoch = ?;

-- release_order: Take an order out of a worker's hands.
UPDATE orders SET owner_epoch = NULL WHERE seq = ?;

-- register_epoch: A worker's new life.
INSERT INTO epochs (worker, heartbeat_ms) VALUES (?, ?);

-- beat_epoch: A sign of life, if it lives.
UPDATE epochs SET heartbeat_ms = ? WHERE epoch = ? AND dead = 0;

-- live_epoch: Whether an epoch lives.
SELECT 1 FROM epochs WHERE epoch = ? AND dead = 0;

-- live_epochs: All that live.
SELECT epoch FROM epochs WHERE dead = 0;

-- silent_epochs: Those without a sign of life since then.
SELECT epoch FROM epochs WHERE dead = 0 AND heartbeat_ms < ?;

-- end_epoch: It never returns.
DELETE FROM epochs WHERE epoch = ?;

-- load_totals: The running totals.
SELECT by_status, leased, ready, due, watermark_ms FROM totals;

-- save_totals: Write them.
UPDATE totals SET by_status = ?, leased = ?, ready = ?, due = ?, watermark_ms = ?;

-- last_sequence: The newest event's.
SELECT coalesce(max(sequence), 0) FROM events;

-- ready_between: How many in the queue are due after one time, up to another.
SELECT coalesce(sum((
    SELECT count(*) FROM orders AS o
    WHERE o.ready_at_ms IS NOT NULL AND o.owner_epoch IS NULL
        AND o.priority = p.priority AND o.ready_at_ms > ? AND o.ready_at_ms <= ?
)), 0)
FROM queue_priorities AS p;

-- earliest_ready: When the first in the queue is due.
SELECT min((
    SELECT min(o.ready_at_ms) FROM orders AS o
    WHERE o.ready_at_ms IS NOT NULL AND o.owner_epoch IS NULL AND o.priority = p.priority
))
FROM queue_priorities AS p;

-- order_version: An order's version.
SELECT version FROM orders WHERE id = ?;

-- get_order: An order by its id.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows WHERE id = ?;

-- find_order: An order by its account's own id for it.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows
WHERE account = ? AND client_order_id = ?;

-- list_orders: The start of a page; conditions follow.
SELECT id, status, version, created_ms, ready_at_ms, state, accepted, routed FROM order_rows;

-- order_events: An order's events after a number.
SELECT e.sequence, o.id, e.number, e.at_ms, e.status, e.body
FROM orders AS o JOIN events AS e ON e.order_seq = o.seq
WHERE o.id = ? AND e.number > ? ORDER BY e.number LIMIT ?;

-- all_events: The log after a sequence number.
SELECT e.sequence, o.id, e.number, e.at_ms, e.status, e.body
FROM events AS e CROSS JOIN orders AS o ON o.seq = e.order_seq
WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?;

-- attempts: An order's attempts.
SELECT o.id, a.number, a.status, a.signature, a.raw, a.last_valid_block_height, a.limit_units, a.marker_seed,
    a.created_ms, a.error, a.slot, a.fee_lamports
FROM orders AS o JOIN attempts AS a ON a.order_seq = o.seq
WHERE o.id = ? ORDER BY a.number;

-- bids: The bids of an order's attempts.
SELECT b.attempt, b.number, b.signature, b.raw, b.unit_price, b.height, b.created_ms
FROM orders AS o JOIN bids AS b ON b.order_seq = o.seq
WHERE o.id = ? ORDER BY b.attempt, b.number;

-- fills: An order's fills.
SELECT f.signature, o.id, f.attempt, f.amount_in, f.amount_out, f.fee_lamports, f.rent_lamports, f.slot, f.at_ms
FROM orders AS o JOIN fills AS f ON f.order_seq = o.seq
WHERE o.id = ? ORDER BY f.at_ms, f.signature;
