-- A rate limit that all workers share.

-- How many orders were claimed when, over the last minute.
CREATE TABLE starts (
    at timestamptz NOT NULL,
    orders integer NOT NULL
);
CREATE INDEX starts_by_time ON starts (at);

-- One row: who claims within a limit holds it, so that no two count at the same time.
CREATE TABLE rate (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row));
INSERT INTO rate VALUES (true);

-- As `claim`, but never more than `per_minute` orders within any minute over all workers, by this server's clock.
CREATE FUNCTION claim_within(for_epoch bigint, now_ms bigint, at_most integer, per_minute integer) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    started bigint;
    taken uuid[];
BEGIN
    PERFORM FROM rate FOR UPDATE;
    DELETE FROM starts WHERE at <= clock_timestamp() - interval '1 minute';
    SELECT coalesce(sum(orders), 0) INTO started FROM starts;
    taken := claim(for_epoch, now_ms, greatest(0, least(at_most, per_minute - started))::integer);
    IF cardinality(taken) > 0 THEN
        INSERT INTO starts VALUES (clock_timestamp(), cardinality(taken));
    END IF;
    RETURN taken;
END
$$;
