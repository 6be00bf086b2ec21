-- When the customer proved that mail to their address reaches them. No money depends on it.
ALTER TABLE {users}.users ADD COLUMN email_verified_at DATETIME(6) NULL;
