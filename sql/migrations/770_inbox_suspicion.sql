-- Evidence that a process had in hand when it ended is told from what only lay there: a number from 0 to 3.
ALTER TABLE {ledger}.callback_inbox ADD COLUMN suspicion TINYINT NOT NULL DEFAULT 0;
