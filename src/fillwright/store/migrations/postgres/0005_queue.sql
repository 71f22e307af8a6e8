-- The queue's rules: aging priorities, orders by name, one at a time for a wallet, pausing; ended epochs go.

-- One row: 'running', 'paused' or 'draining'.
CREATE TABLE queue (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    state text NOT NULL CHECK (state IN ('running', 'paused', 'draining'))
);
INSERT INTO queue VALUES (true, 'running');

-- The orders of a wallet that go one after another, in the order of their ids. Empty unless the engine is told to.
CREATE TABLE lines (
    wallet text NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (wallet, order_id)
);

DROP FUNCTION claim_within(bigint, bigint, integer, integer);
DROP FUNCTION claim(bigint, bigint, integer);

-- Whether the epoch may claim now: NULL where it has ended. It is held to the end of the transaction.
CREATE FUNCTION may_claim(for_epoch bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- A claim need not reach the disk at once: any later write of the worker does not reach it without this one.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM FROM epochs WHERE epoch = for_epoch AND NOT dead FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT state <> 'paused' FROM queue);
END
$$;

-- Due orders into a worker's hands: those that have been due longest go first, where each step of priority counts
-- as `step_ms` of having been due. What another claim is looking at is skipped. NULL for an epoch that has ended.
CREATE FUNCTION claim(for_epoch bigint, now_ms bigint, at_most integer, step_ms bigint) RETURNS uuid[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    allowed boolean := may_claim(for_epoch);
    levels integer[];
    level integer;
    share integer;
    found_ids uuid[];
    taken uuid[] := '{}';
BEGIN
    IF allowed IS NULL OR NOT allowed OR at_most < 1 THEN
        RETURN CASE WHEN allowed IS NULL THEN NULL ELSE taken END;
    END IF;
    SELECT array_agg(priority) INTO levels FROM (SELECT priority FROM queue_priorities LIMIT 2) AS q;
    FOR level, share IN
        SELECT levels[1], at_most WHERE cardinality(levels) = 1
        UNION ALL
        SELECT heads.priority, count(*)::integer FROM (
            SELECT q.priority FROM queue_priorities AS q CROSS JOIN LATERAL (
                SELECT p.ready_at_ms FROM progress AS p
                WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority = q.priority
                    AND p.ready_at_ms <= now_ms
                ORDER BY p.ready_at_ms LIMIT at_most
            ) AS h
            WHERE cardinality(levels) > 1
            ORDER BY h.ready_at_ms - q.priority * step_ms LIMIT at_most
        ) AS heads GROUP BY heads.priority
    LOOP
        SELECT array_agg(due.order_id) INTO found_ids FROM (
            SELECT p.order_id FROM progress AS p
            WHERE p.ready_at_ms IS NOT NULL AND p.owner_epoch IS NULL AND p.priority = level
                AND p.ready_at_ms <= now_ms
            ORDER BY p.ready_at_ms LIMIT share
            FOR UPDATE SKIP LOCKED
        ) AS due;
        IF found_ids IS NOT NULL THEN
            UPDATE progress SET owner_epoch = for_epoch WHERE order_id = ANY (found_ids);
            taken := taken || found_ids;
        END IF;
    END LOOP;
    IF cardinality(levels) > 1 THEN
        SELECT coalesce(array_agg(p.order_id ORDER BY p.ready_at_ms - p.priority * step_ms, p.ready_at_ms), '{}')
        INTO taken FROM progress AS p WHERE p.order_id = ANY (taken);
    END IF;
    RETURN taken;
END
$$;

-- These orders, where they are due and free.
CREATE FUNCTION claim_these(for_epoch bigint, now_ms bigint, wanted uuid[]) RETURNS uuid[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    allowed boolean := may_claim(for_epoch);
    taken uuid[] := '{}';
BEGIN
    IF allowed IS NULL OR NOT allowed THEN
        RETURN CASE WHEN allowed IS NULL THEN NULL ELSE taken END;
    END IF;
    SELECT coalesce(array_agg(due.order_id), '{}') INTO taken FROM (
        SELECT p.order_id FROM progress AS p
        WHERE p.order_id = ANY (wanted) AND p.owner_epoch IS NULL AND p.ready_at_ms <= now_ms
        FOR UPDATE SKIP LOCKED
    ) AS due;
    UPDATE progress SET owner_epoch = for_epoch WHERE order_id = ANY (taken);
    RETURN taken;
END
$$;

-- As `claim`, but of each wallet's line only the first order that is awake, and none while another one of it is in
-- a worker's hands. An order sleeps while its client holds it back: not released, or not before a time. One that
-- is to be tried again does not: it keeps its place. One claim at a time.
CREATE FUNCTION claim_in_line(for_epoch bigint, now_ms bigint, at_most integer, step_ms bigint) RETURNS uuid[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    allowed boolean := may_claim(for_epoch);
    busy text[];
    taken uuid[] := '{}';
BEGIN
    IF allowed IS NULL OR NOT allowed THEN
        RETURN CASE WHEN allowed IS NULL THEN NULL ELSE taken END;
    END IF;
    PERFORM FROM rate FOR UPDATE;
    SELECT coalesce(array_agg(o.wallet), '{}') INTO busy
    FROM progress AS p JOIN orders AS o ON o.id = p.order_id WHERE p.owner_epoch IS NOT NULL;
    LOOP
        DELETE FROM lines AS l USING progress AS p
        WHERE (l.wallet, l.order_id) IN (SELECT f.wallet, f.order_id FROM line_fronts AS f)
            AND p.order_id = l.order_id AND p.ended;
        EXIT WHEN NOT FOUND;
    END LOOP;
    SELECT coalesce(array_agg(d.order_id ORDER BY d.rank, d.order_id), '{}') INTO taken FROM (
        SELECT h.order_id, h.ready_at_ms - h.priority * step_ms AS rank
        FROM line_fronts AS w CROSS JOIN LATERAL (
            SELECT p.order_id, p.ready_at_ms, p.priority, p.owner_epoch
            FROM lines AS l JOIN progress AS p ON p.order_id = l.order_id
            WHERE l.wallet = w.wallet AND NOT p.ended
                AND p.ready_at_ms IS NOT NULL AND (p.version > 1 OR p.ready_at_ms <= now_ms)
            ORDER BY l.order_id LIMIT 1
        ) AS h
        WHERE h.owner_epoch IS NULL AND h.ready_at_ms <= now_ms AND w.wallet <> ALL (busy)
        ORDER BY rank LIMIT at_most
    ) AS d;
    UPDATE progress SET owner_epoch = for_epoch WHERE order_id = ANY (taken) AND owner_epoch IS NULL;
    RETURN taken;
END
$$;

-- The first of each line, found by one seek per wallet.
CREATE VIEW line_fronts AS
WITH RECURSIVE fronts (wallet, order_id) AS (
    (SELECT l.wallet, l.order_id FROM lines AS l ORDER BY l.wallet, l.order_id LIMIT 1)
    UNION ALL
    SELECT f.wallet, f.order_id FROM fronts CROSS JOIN LATERAL (
        SELECT l.wallet, l.order_id FROM lines AS l WHERE l.wallet > fronts.wallet
        ORDER BY l.wallet, l.order_id LIMIT 1
    ) AS f
)
SELECT wallet, order_id FROM fronts;

-- As `claim` or `claim_in_line`, but never more than `per_minute` orders within any minute over all workers, by this
-- server's clock.
CREATE FUNCTION claim_within(
    for_epoch bigint, now_ms bigint, at_most integer, step_ms bigint, per_minute integer, in_line boolean
) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    started bigint;
    allowed integer;
    taken uuid[];
BEGIN
    PERFORM FROM rate FOR UPDATE;
    DELETE FROM starts WHERE at <= clock_timestamp() - interval '1 minute';
    SELECT coalesce(sum(orders), 0) INTO started FROM starts;
    allowed := greatest(0, least(at_most, per_minute - started));
    IF in_line THEN
        taken := claim_in_line(for_epoch, now_ms, allowed, step_ms);
    ELSE
        taken := claim(for_epoch, now_ms, allowed, step_ms);
    END IF;
    IF cardinality(taken) > 0 THEN
        INSERT INTO starts VALUES (clock_timestamp(), cardinality(taken));
    END IF;
    RETURN taken;
END
$$;

-- An epoch that has ended is not kept: what is not there is over, and no number is given twice.
CREATE OR REPLACE FUNCTION bury(of_epochs bigint[]) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    buried_epochs bigint[];
    released bigint;
BEGIN
    WITH buried AS (
        DELETE FROM epochs WHERE epoch = ANY (of_epochs) AND NOT dead RETURNING epoch
    )
    SELECT array_agg(epoch) INTO buried_epochs FROM buried;
    UPDATE progress SET owner_epoch = NULL WHERE owner_epoch = ANY (buried_epochs);
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END
$$;
DELETE FROM epochs WHERE dead;
