-- Nothing counts there: the host of a saga parks it, and evidence that breaks one counts its own deliveries.
ALTER TABLE {ledger}.transactions DROP COLUMN crashes;
