-- Further transactions of attempts, and a view that does not show them as steps.

-- They do what the attempt's own transaction does, over the same blockhash, for a higher price: under the order's
-- marker, at most one of them all can succeed. `number` counts from 2, the attempt itself being the first; `unit_price`
-- in micro-lamports per compute unit; `height`: the confirmed block height when it was signed.
CREATE TABLE bids (
    order_seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL CHECK (number > 1),
    signature TEXT NOT NULL UNIQUE,
    raw BLOB NOT NULL,
    unit_price INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (order_seq, attempt, number)
);

-- One row per step that 002 kept; a try that is not the last shows as pending again.
DROP VIEW order_status_history_002;
CREATE VIEW order_status_history_002 AS
SELECT
    e.sequence AS id, o.id AS order_id,
    CASE
        WHEN e.status IN ('waiting', 'pending') THEN 'pending'
        WHEN e.status IN ('routing', 'building', 'submitted', 'confirmed') THEN e.status
        ELSE 'failed'
    END AS status,
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at_ms / 1000.0, 'unixepoch') AS timestamp,
    CASE e.kind
        WHEN 'submitted' THEN json_extract(e.body, '$.signature')
        WHEN 'confirmed' THEN json_extract(e.body, '$.fill.signature')
    END AS tx_hash,
    CASE WHEN e.kind = 'confirmed' THEN c.executed_price END AS executed_price,
    CASE WHEN e.kind IN ('failed', 'expired', 'needs_review') THEN json_extract(e.body, '$.error.message') END AS error,
    CASE WHEN e.kind = 'routing' THEN json_extract(e.body, '$.route.legs[0].dex') END AS dex
FROM events AS e
JOIN orders AS o ON o.seq = e.order_seq
JOIN client_orders AS c ON c.id = o.id
WHERE e.kind NOT IN ('triggered', 'rebid', 'landed', 'rolled_back');
