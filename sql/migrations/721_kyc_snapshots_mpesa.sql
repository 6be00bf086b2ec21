-- How like the registered name the one is that M-Pesa told at the last payout; none before the first.
ALTER TABLE {users}.kyc_snapshots ADD COLUMN mpesa_score SMALLINT NULL;
