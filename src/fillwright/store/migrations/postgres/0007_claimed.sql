-- Claiming and reading what was claimed in one round trip.

-- The orders just claimed, in the order of the claim. Volatile, so that it sees what the claim has seen, and not what
-- there was when the statement began that calls both.
CREATE FUNCTION claimed_orders(taken uuid[]) RETURNS TABLE (
    id text, status text, version integer, created_ms bigint, ready_at_ms bigint, state text, accepted text, routed text
) LANGUAGE plpgsql VOLATILE ROWS 10 AS $$
BEGIN
    RETURN QUERY
    SELECT o.id::text, o.status, o.version, o.created_ms, o.ready_at_ms, o.state, o.accepted, o.routed
    FROM unnest(taken) WITH ORDINALITY AS c (id, position) JOIN order_rows AS o ON o.id = c.id
    ORDER BY c.position;
END
$$;
