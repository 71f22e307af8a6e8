-- The tables of earlier engines as read-only views, so that their reports and scripts keep working.
-- Amounts are whole tokens as REAL, for reading; the exact ones are the canonical tables' base units.

-- Symbol and decimals of well-known mints, for orders that did not come in a client dialect.
CREATE VIEW client_tokens (mint, symbol, decimals) AS
VALUES
    ('So11111111111111111111111111111111111111112', 'SOL', 9),
    ('EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v', 'USDC', 6),
    ('Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB', 'USDT', 6),
    ('4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R', 'RAY', 6),
    ('DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263', 'BONK', 5),
    ('JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN', 'JUP', 6),
    ('mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So', 'mSOL', 9),
    ('J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn', 'JitoSOL', 9),
    ('7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs', 'ETH', 8),
    ('3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh', 'BTC', 8),
    ('EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm', 'WIF', 6),
    ('HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3', 'PYTH', 6);

-- Every order in the terms that the dialects share; the dialects' views below only rename.
CREATE VIEW client_orders AS
WITH read AS (
    SELECT
        o.*,
        json_extract(o.accepted, '$.spec.mode') AS mode,
        json_extract(o.accepted, '$.spec.amount') AS amount,
        json_extract(o.accepted, '$.spec.limit') AS limit_units,
        coalesce(
            CAST(json_extract(o.accepted, '$.spec.dialect_fields.slippage') AS REAL),
            json_extract(o.accepted, '$.spec.slippage_bps') / 10000.0
        ) AS max_slippage,
        coalesce(json_extract(o.accepted, '$.spec.dialect_fields.input'), i.symbol, o.input_mint) AS token_in,
        coalesce(json_extract(o.accepted, '$.spec.dialect_fields.output'), t.symbol, o.output_mint) AS token_out,
        CAST('1e' || coalesce(
            json_extract(o.accepted, '$.spec.dialect_fields.input_decimals'), i.decimals
        ) AS REAL) AS scale_in,
        CAST('1e' || coalesce(
            json_extract(o.accepted, '$.spec.dialect_fields.output_decimals'), t.decimals
        ) AS REAL) AS scale_out,
        json_extract(o.state, '$.updated_ms') AS updated_ms,
        json_extract(o.state, '$.signature') AS signature,
        coalesce(json_extract(o.state, '$.attempt'), 0) AS attempts,
        coalesce(json_extract(o.state, '$.retries'), 0) AS retries,
        json_extract(o.state, '$.error.message') AS last_error,
        json_extract(o.state, '$.fill.amount_in') AS filled_in,
        json_extract(o.state, '$.fill.amount_out') AS filled_out,
        json_extract(o.routed, '$.route.amount_in') AS quoted_in,
        json_extract(o.routed, '$.route.amount_out') AS quoted_out,
        json_extract(o.routed, '$.route.legs[0].dex') AS dex,
        (
            SELECT
                coalesce(sum(f.amount) FILTER (WHERE f.mint = o.input_mint), 0.0) / f.leg_in
                + coalesce(sum(f.amount) FILTER (WHERE f.mint <> o.input_mint), 0.0)
                / (f.leg_out + coalesce(sum(f.amount) FILTER (WHERE f.mint <> o.input_mint), 0.0))
            FROM (
                SELECT
                    json_extract(each.value, '$.mint') AS mint,
                    json_extract(each.value, '$.amount') * 1.0 AS amount,
                    json_extract(o.routed, '$.route.legs[0].amount_in') AS leg_in,
                    json_extract(o.routed, '$.route.legs[0].amount_out') AS leg_out
                FROM json_each(o.routed, '$.route.legs[0].fees') AS each
            ) AS f
        ) AS quote_fee
    FROM order_rows AS o
    LEFT JOIN client_tokens AS i ON i.mint = o.input_mint
    LEFT JOIN client_tokens AS t ON t.mint = o.output_mint
)
SELECT
    id, dialect, wallet, token_in, token_out,
    coalesce(filled_in, CASE WHEN mode = 'exact_in' THEN amount ELSE quoted_in END) / scale_in AS amount_in,
    CASE WHEN mode = 'exact_in' THEN limit_units / scale_out END AS min_amount_out,
    max_slippage,
    CASE
        WHEN status IN ('waiting', 'pending') THEN 'pending'
        WHEN status IN ('routing', 'building', 'submitted', 'confirmed') THEN status
        ELSE 'failed'
    END AS status,
    CASE WHEN ended_ms IS NOT NULL OR status = 'submitted' THEN signature END AS tx_hash,
    filled_out / scale_out AS amount_out,
    (filled_out / scale_out) / (filled_in / scale_in) AS executed_price,
    dex,
    (quoted_out / scale_out) / ((quoted_in / scale_in) * (1.0 - coalesce(quote_fee, 0.0))) AS quote_price,
    quote_fee,
    CASE WHEN mode = 'exact_in' THEN (quoted_out - filled_out) * 1.0 / quoted_out
        ELSE (filled_in - quoted_in) * 1.0 / quoted_in END AS realised_slippage,
    attempts, retries, last_error,
    CASE WHEN ended_ms IS NOT NULL AND status <> 'confirmed' THEN coalesce(last_error, status) END AS error,
    'So11111111111111111111111111111111111111112' IN (input_mint, output_mint) AS requires_wrapping,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_ms / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(updated_ms, created_ms) / 1000.0, 'unixepoch') AS updated_at
FROM read;

CREATE VIEW orders_000 AS
SELECT
    id, 'MARKET' AS type, token_in AS input_token, token_out AS output_token, amount_in AS amount,
    upper(status) AS status, tx_hash, error, created_at, updated_at
FROM client_orders;

CREATE VIEW orders_001 AS
SELECT
    id, token_in, token_out, amount_in, min_amount_out, 'market' AS type, status, tx_hash, executed_price, attempts,
    last_error, created_at, updated_at
FROM client_orders;

CREATE VIEW orders_002 AS
SELECT
    id AS order_id, 'market' AS type, token_in, token_out, amount_in, max_slippage AS slippage, status, tx_hash,
    executed_price, amount_out AS executed_amount, dex, error, retries AS retry_count, created_at, updated_at
FROM client_orders;

-- One row per step that 002 kept; a try that is not the last shows as pending again.
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
WHERE e.kind NOT IN ('triggered', 'landed', 'rolled_back');

CREATE VIEW orders_003 AS
SELECT
    id, token_in, token_out, iif(amount_in IS NULL, NULL, printf('%.8f', amount_in)) AS amount,
    printf('%.4f', max_slippage) AS max_slippage, status,
    CASE dex WHEN 'raydium' THEN 'Raydium' WHEN 'meteora' THEN 'Meteor' ELSE dex END AS quote_dex,
    quote_price, quote_fee, tx_hash, executed_price, realised_slippage AS slippage, error AS error_message, created_at,
    updated_at, attempts, error AS failure_reason, requires_wrapping
FROM client_orders;

CREATE VIEW orders_004 AS
SELECT
    id, wallet AS user_wallet, token_in AS input_token, token_out AS output_token, amount_in AS input_amount,
    amount_out AS output_amount,
    CASE dex WHEN 'raydium' THEN 'Raydium' WHEN 'meteora' THEN 'Meteora' ELSE dex END AS selected_dex, status, tx_hash,
    error, created_at, updated_at
FROM client_orders;
