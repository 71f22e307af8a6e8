-- Further transactions of attempts, and a view that does not show them as steps.

-- They do what the attempt's own transaction does, over the same blockhash, for a higher price: under the order's
-- marker, at most one of them all can succeed. `number` counts from 2, the attempt itself being the first; `unit_price`
-- in micro-lamports per compute unit; `height`: the confirmed block height when it was signed.
CREATE TABLE bids (
    order_id uuid NOT NULL,
    attempt integer NOT NULL,
    number integer NOT NULL CHECK (number > 1),
    signature text NOT NULL UNIQUE,
    raw bytea NOT NULL,
    unit_price bigint NOT NULL,
    height bigint NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (order_id, attempt, number)
);

-- The bids of a flush, after `flush` has said which steps were `moved`; it gives that back. A bid of an attempt that
-- is closed or has no marker, or in bytes that another has, undoes the whole flush.
CREATE FUNCTION add_bids(
    moved boolean[],
    b_step integer[], b_order uuid[], b_attempt integer[], b_number integer[], b_signature text[], b_raw bytea[],
    b_price bigint[], b_height bigint[], b_created bigint[]
) RETURNS boolean[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    total integer;
BEGIN
    INSERT INTO bids
    SELECT b.order_id, b.attempt, b.number, b.signature, b.raw, b.price, b.height, b.created
    FROM unnest(b_step, b_order, b_attempt, b_number, b_signature, b_raw, b_price, b_height, b_created)
        AS b (step, order_id, attempt, number, signature, raw, price, height, created)
    JOIN attempts AS a ON a.order_id = b.order_id AND a.number = b.attempt AND a.open AND a.marker_seed <> ''
    WHERE moved[b.step] AND NOT EXISTS (SELECT FROM attempts AS o WHERE o.signature = b.signature);
    GET DIAGNOSTICS total = ROW_COUNT;
    IF total <> (SELECT count(*) FROM unnest(b_step) AS b (step) WHERE moved[b.step]) THEN
        RAISE EXCEPTION 'a bid needs an open attempt under a marker, and a signature of its own'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN moved;
END
$$;

-- One row per step that 002 kept; a try that is not the last shows as pending again.
CREATE OR REPLACE VIEW order_status_history_002 AS
SELECT
    e.sequence AS id, e.order_id,
    CASE
        WHEN e.status IN ('waiting', 'pending') THEN 'pending'
        WHEN e.status IN ('routing', 'building', 'submitted', 'confirmed') THEN e.status
        ELSE 'failed'
    END AS status,
    client_time(e.at_ms) AS timestamp,
    CASE e.kind
        WHEN 'submitted' THEN e.body::json ->> 'signature'
        WHEN 'confirmed' THEN e.body::json #>> '{fill,signature}'
    END AS tx_hash,
    CASE WHEN e.kind = 'confirmed' THEN c.executed_price END AS executed_price,
    CASE WHEN e.kind IN ('failed', 'expired', 'needs_review') THEN e.body::json #>> '{error,message}' END AS error,
    CASE WHEN e.kind = 'routing' THEN e.body::json #>> '{route,legs,0,dex}' END AS dex
FROM events AS e
JOIN client_orders AS c ON c.id = e.order_id
WHERE e.kind NOT IN ('triggered', 'rebid', 'landed', 'rolled_back');
