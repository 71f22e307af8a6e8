-- The hot writes: one call each, whose statements see what the one before did. Their plans are pinned: by index,
-- whatever the tables held when they were made.

-- One flush: new orders, compare-and-set steps, their events, attempts and fills. Positions count from 1 within
-- new orders (n_) and steps (s_); an event's `e_step` is a step's position, or less than 0 a new order's.
-- Answers the sequence before the flush, and for each new order and each step whether it was written; what was
-- not leaves no trace. The caller gives an order, or an account's own id, at most once, new orders by that id
-- and steps by order: all writers lock in one order. Anything that contradicts a unique index undoes it all.
CREATE FUNCTION flush(
    n_id uuid[], n_account text[], n_client text[], n_wallet text[], n_input text[], n_output text[],
    n_dialect text[], n_priority integer[], n_created bigint[], n_status text[], n_version integer[],
    n_ready bigint[], n_ended boolean[], n_state text[],
    s_id uuid[], s_expected integer[], s_epoch bigint[], s_status text[], s_version integer[],
    s_ready bigint[], s_release boolean[], s_ended boolean[], s_account text[], s_routed integer[], s_state text[],
    e_step integer[], e_order uuid[], e_number integer[], e_at bigint[], e_kind text[], e_status text[],
    e_body text[],
    a_step integer[], a_order uuid[], a_number integer[], a_status text[], a_open boolean[], a_signature text[],
    a_raw bytea[], a_height bigint[], a_limit numeric[], a_seed text[], a_created bigint[], a_error text[],
    a_slot bigint[], a_fee bigint[],
    f_step integer[], f_signature text[], f_order uuid[], f_attempt integer[], f_in numeric[], f_out numeric[],
    f_fee bigint[], f_rent bigint[], f_slot bigint[], f_at bigint[],
    OUT before bigint, OUT inserted boolean[], OUT moved boolean[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    added uuid[];
    done integer[];
    k integer;
    total integer;
    every boolean := true;
BEGIN
    inserted := '{}';
    moved := '{}';
    IF cardinality(n_id) > 0 THEN
        WITH new_orders AS (
            INSERT INTO orders
            SELECT n.id, n.account, n.client, n.wallet, n.input, n.output, n.dialect, n.priority, n.created
            FROM unnest(n_id, n_account, n_client, n_wallet, n_input, n_output, n_dialect, n_priority, n_created)
                AS n (id, account, client, wallet, input, output, dialect, priority, created)
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT coalesce(array_agg(id), '{}') INTO added FROM new_orders;
        every := cardinality(added) = cardinality(n_id);
        inserted := array_fill(every, ARRAY[cardinality(n_id)]);
        IF NOT every THEN
            FOR k IN 1 .. cardinality(n_id) LOOP
                inserted[k] := n_id[k] = ANY (added);
            END LOOP;
        END IF;
        INSERT INTO progress
        SELECT n.id, n.priority, n.status, n.version, n.ready, NULL, n.ended, NULL, n.state
        FROM unnest(n_id, n_priority, n_status, n_version, n_ready, n_ended, n_state) WITH ORDINALITY
            AS n (id, priority, status, version, ready, ended, state, position)
        WHERE inserted[n.position];
    END IF;
    IF cardinality(s_id) > 0 THEN
        WITH stepped AS (
            UPDATE progress AS p
            SET status = s.status, version = s.version, state = s.state, ended = s.ended,
                ready_at_ms = s.ready,
                owner_epoch = CASE WHEN s.release THEN NULL ELSE p.owner_epoch END,
                routed_number = coalesce(s.routed, p.routed_number)
            FROM unnest(s_id, s_expected, s_epoch, s_status, s_version, s_ready, s_release, s_ended, s_routed, s_state)
                WITH ORDINALITY
                AS s (id, expected, epoch, status, version, ready, release, ended, routed, state, position)
            WHERE p.order_id = s.id AND p.version = s.expected AND (s.epoch IS NULL OR p.owner_epoch = s.epoch)
            RETURNING s.position
        )
        SELECT coalesce(array_agg(position), '{}') INTO done FROM stepped;
        moved := array_fill(cardinality(done) = cardinality(s_id), ARRAY[cardinality(s_id)]);
        IF cardinality(done) < cardinality(s_id) THEN
            every := false;
            FOREACH k IN ARRAY done LOOP
                moved[k] := true;
            END LOOP;
        END IF;
        IF true = ANY (s_ended) THEN
            INSERT INTO endings (account, status, order_id)
            SELECT s.account, s.status, s.id
            FROM unnest(s_id, s_status, s_ended, s_account) WITH ORDINALITY
                AS s (id, status, ended, account, position)
            WHERE s.ended AND moved[s.position]
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    IF cardinality(a_step) > 0 THEN
        INSERT INTO attempts
        SELECT a.order_id, a.number, a.status, a.open, a.signature, a.raw, a.height, a.limit_units, a.seed, a.created,
            a.error, a.slot, a.fee
        FROM unnest(a_step, a_order, a_number, a_status, a_open, a_signature, a_raw, a_height, a_limit, a_seed,
                a_created, a_error, a_slot, a_fee)
            AS a (step, order_id, number, status, open, signature, raw, height, limit_units, seed, created, error,
                slot, fee)
        WHERE moved[a.step]
        ON CONFLICT (order_id, number) DO UPDATE
        SET status = excluded.status, open = excluded.open, error = excluded.error, slot = excluded.slot,
            fee_lamports = excluded.fee_lamports
        WHERE attempts.signature = excluded.signature AND attempts.raw = excluded.raw;
        GET DIAGNOSTICS total = ROW_COUNT;
        IF total <> (SELECT count(*) FROM unnest(a_step) AS a (step) WHERE moved[a.step]) THEN
            RAISE EXCEPTION 'an attempt has other signed bytes' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    IF cardinality(f_step) > 0 THEN
        INSERT INTO fills
        SELECT f.signature, f.order_id, f.attempt, f.amount_in, f.amount_out, f.fee, f.rent, f.slot, f.at_ms
        FROM unnest(f_step, f_signature, f_order, f_attempt, f_in, f_out, f_fee, f_rent, f_slot, f_at)
            AS f (step, signature, order_id, attempt, amount_in, amount_out, fee, rent, slot, at_ms)
        WHERE moved[f.step];
    END IF;
    total := cardinality(e_step);
    IF NOT every THEN
        SELECT count(*) INTO total FROM unnest(e_step) AS e (step)
        WHERE CASE WHEN e.step > 0 THEN moved[e.step] ELSE inserted[-e.step] END;
    END IF;
    IF total > 0 THEN
        UPDATE log
        SET sequence = log.sequence + total,
            confirmed = log.confirmed + c.confirmed, failed = log.failed + c.failed,
            cancelled = log.cancelled + c.cancelled, expired = log.expired + c.expired,
            needs_review = log.needs_review + c.needs_review
        FROM (
            SELECT count(*) FILTER (WHERE s.status = 'confirmed') AS confirmed,
                count(*) FILTER (WHERE s.status = 'failed') AS failed,
                count(*) FILTER (WHERE s.status = 'cancelled') AS cancelled,
                count(*) FILTER (WHERE s.status = 'expired') AS expired,
                count(*) FILTER (WHERE s.status = 'needs_review') AS needs_review
            FROM unnest(s_status, s_ended) WITH ORDINALITY AS s (status, ended, position)
            WHERE s.ended AND moved[s.position]
        ) AS c
        RETURNING log.sequence - total INTO before;
        INSERT INTO events
        SELECT before + row_number() OVER (ORDER BY e.position), e.order_id, e.number, e.at_ms, e.kind, e.status, e.body
        FROM unnest(e_step, e_order, e_number, e_at, e_kind, e_status, e_body) WITH ORDINALITY
            AS e (step, order_id, number, at_ms, kind, status, body, position)
        WHERE every OR CASE WHEN e.step > 0 THEN moved[e.step] ELSE inserted[-e.step] END;
    END IF;
END
$$;

-- Due orders into a worker's hands: higher priority first, then the longest due; what another claim is looking
-- at is skipped. No rows for an epoch that has ended, but NULL. It need not reach the disk at once: any later
-- write of the worker does not reach it without this one.
CREATE FUNCTION claim(for_epoch bigint, now_ms bigint, at_most integer) RETURNS uuid[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    taken uuid[] := '{}';
    found_ids uuid[];
    level integer := NULL;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM FROM epochs WHERE epoch = for_epoch AND NOT dead FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WHILE cardinality(taken) < at_most LOOP
        SELECT p.priority INTO level FROM progress AS p
        WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority < coalesce(level::bigint, 2147483648)
        ORDER BY p.priority DESC LIMIT 1;
        EXIT WHEN level IS NULL;
        SELECT array_agg(due.order_id) INTO found_ids FROM (
            SELECT p.order_id FROM progress AS p
            WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority = level
                AND p.ready_at_ms <= now_ms
            ORDER BY p.ready_at_ms LIMIT at_most - cardinality(taken)
            FOR UPDATE SKIP LOCKED
        ) AS due;
        IF found_ids IS NOT NULL THEN
            UPDATE progress SET owner_epoch = for_epoch WHERE order_id = ANY (found_ids);
            taken := taken || found_ids;
        END IF;
    END LOOP;
    RETURN taken;
END
$$;

-- A sign of life, if it lives. Losing it in a crash of the server is no harm.
CREATE FUNCTION beat(of_epoch bigint) RETURNS boolean LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE epochs SET heartbeat_at = clock_timestamp() WHERE epoch = of_epoch AND NOT dead;
    RETURN FOUND;
END
$$;

-- End these epochs and release what they hold: how many orders. A claim of theirs is either waited for, and
-- released, or finds its epoch ended.
CREATE FUNCTION bury(of_epochs bigint[]) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    buried_epochs bigint[];
    released bigint;
BEGIN
    WITH buried AS (
        UPDATE epochs SET dead = true WHERE epoch = ANY (of_epochs) AND NOT dead RETURNING epoch
    )
    SELECT array_agg(epoch) INTO buried_epochs FROM buried;
    UPDATE progress SET owner_epoch = NULL WHERE owner_epoch = ANY (buried_epochs);
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END
$$;

-- End every epoch that has been silent for longer than this.
CREATE FUNCTION reap(silent_ms bigint) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    released bigint := 0;
    silent bigint;
BEGIN
    FOR silent IN
        SELECT epoch FROM epochs
        WHERE NOT dead AND heartbeat_at < clock_timestamp() - silent_ms * interval '1 millisecond'
        ORDER BY epoch
        FOR UPDATE
    LOOP
        released := released + bury(ARRAY[silent]);
    END LOOP;
    RETURN released;
END
$$;

-- The priorities that occur in the queue, each found by one seek.
CREATE VIEW queue_priorities AS
WITH RECURSIVE levels (priority) AS (
    (SELECT p.priority FROM progress AS p WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL
    ORDER BY p.priority DESC LIMIT 1)
    UNION ALL
    SELECT (
        SELECT p.priority FROM progress AS p
        WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority < levels.priority
        ORDER BY p.priority DESC LIMIT 1
    )
    FROM levels WHERE levels.priority IS NOT NULL
)
SELECT priority FROM levels WHERE priority IS NOT NULL;
