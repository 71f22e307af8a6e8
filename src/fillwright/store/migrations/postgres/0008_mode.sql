-- A database holds the orders of one mode.

-- One row. `mode`: of the first process that served; NULL before.
CREATE TABLE engine (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    mode text
);
INSERT INTO engine VALUES (true, NULL);

-- The mode that the database belongs to: from now on `wanted`, where it has none. A role that serves needs no rights on
-- the table.
CREATE FUNCTION bind_mode(wanted text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF (SELECT mode IS NULL FROM engine) THEN
        UPDATE engine SET mode = wanted WHERE mode IS NULL;
    END IF;
    RETURN (SELECT mode FROM engine);
END
$$;
