-- The tables of earlier engines as read-only views, so that their reports and scripts keep working: the same
-- rows as in the embedded store. Amounts are whole tokens as double precision, for reading; the exact ones are
-- the canonical tables' base units.

-- A time of the log as the views show it: RFC 3339 in UTC, to the millisecond.
CREATE FUNCTION client_time(at_ms bigint) RETURNS text LANGUAGE sql STABLE STRICT AS $$
    SELECT to_char(to_timestamp(at_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

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
WITH parsed AS (
    SELECT
        o.id, o.dialect, o.wallet, o.input_mint, o.output_mint, o.created_ms, o.status, o.ended,
        o.accepted::json -> 'spec' AS spec, o.state::json AS state, o.routed::json -> 'route' AS route
    FROM order_rows AS o
),
read AS (
    SELECT
        o.*,
        o.spec ->> 'mode' AS mode,
        (o.spec ->> 'amount')::numeric::double precision AS amount,
        (o.spec ->> 'limit')::numeric::double precision AS limit_units,
        coalesce(
            (o.spec #>> '{dialect_fields,slippage}')::double precision,
            (o.spec ->> 'slippage_bps')::double precision / 10000.0
        ) AS max_slippage,
        coalesce(o.spec #>> '{dialect_fields,input}', i.symbol, o.input_mint) AS token_in,
        coalesce(o.spec #>> '{dialect_fields,output}', t.symbol, o.output_mint) AS token_out,
        ('1e' || coalesce(o.spec #>> '{dialect_fields,input_decimals}', i.decimals::text))::double precision AS scale_in,
        ('1e' || coalesce(o.spec #>> '{dialect_fields,output_decimals}', t.decimals::text))::double precision AS scale_out,
        (o.state ->> 'updated_ms')::bigint AS updated_ms,
        o.state ->> 'signature' AS signature,
        coalesce((o.state ->> 'attempt')::integer, 0) AS attempts,
        coalesce((o.state ->> 'retries')::integer, 0) AS retries,
        o.state #>> '{error,message}' AS last_error,
        (o.state #>> '{fill,amount_in}')::double precision AS filled_in,
        (o.state #>> '{fill,amount_out}')::double precision AS filled_out,
        (o.route ->> 'amount_in')::double precision AS quoted_in,
        (o.route ->> 'amount_out')::double precision AS quoted_out,
        o.route #>> '{legs,0,dex}' AS dex,
        fees.share AS quote_fee
    FROM parsed AS o
    LEFT JOIN client_tokens AS i ON i.mint = o.input_mint
    LEFT JOIN client_tokens AS t ON t.mint = o.output_mint
    LEFT JOIN LATERAL (
        SELECT
            coalesce(sum(f.amount) FILTER (WHERE f.mint = o.input_mint), 0.0) / nullif(min(f.leg_in), 0.0)
            + coalesce(sum(f.amount) FILTER (WHERE f.mint <> o.input_mint), 0.0)
            / nullif(min(f.leg_out) + coalesce(sum(f.amount) FILTER (WHERE f.mint <> o.input_mint), 0.0), 0.0) AS share
        FROM (
            SELECT
                each.value ->> 'mint' AS mint,
                (each.value ->> 'amount')::double precision AS amount,
                (o.route #>> '{legs,0,amount_in}')::double precision AS leg_in,
                (o.route #>> '{legs,0,amount_out}')::double precision AS leg_out
            FROM json_array_elements(o.route #> '{legs,0,fees}') AS each (value)
        ) AS f
    ) AS fees ON true
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
    CASE WHEN ended OR status = 'submitted' THEN signature END AS tx_hash,
    filled_out / scale_out AS amount_out,
    (filled_out / scale_out) / nullif(filled_in / scale_in, 0.0) AS executed_price,
    dex,
    (quoted_out / scale_out) / nullif((quoted_in / scale_in) * (1.0 - coalesce(quote_fee, 0.0)), 0.0) AS quote_price,
    quote_fee,
    CASE WHEN mode = 'exact_in' THEN (quoted_out - filled_out) / nullif(quoted_out, 0.0)
        ELSE (filled_in - quoted_in) / nullif(quoted_in, 0.0) END AS realised_slippage,
    attempts, retries, last_error,
    CASE WHEN ended AND status <> 'confirmed' THEN coalesce(last_error, status) END AS error,
    'So11111111111111111111111111111111111111112' IN (input_mint, output_mint) AS requires_wrapping,
    client_time(created_ms) AS created_at,
    client_time(coalesce(updated_ms, created_ms)) AS updated_at
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
WHERE e.kind NOT IN ('triggered', 'landed', 'rolled_back');

CREATE VIEW orders_003 AS
SELECT
    id, token_in, token_out, round(amount_in::text::numeric, 8)::text AS amount,
    round(max_slippage::text::numeric, 4)::text AS max_slippage, status,
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
