-- The queue's state; ended epochs go.

-- One row: 'running', 'paused' or 'draining'.
CREATE TABLE queue (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'draining'))
);
INSERT INTO queue VALUES (1, 'running');

-- An epoch that has ended is not kept: what is not there is over, and no number is given twice.
DELETE FROM epochs WHERE dead = 1;
