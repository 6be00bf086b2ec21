-- When a customer was forgotten. The row stays as a tombstone without anything personal: the books name its id.
ALTER TABLE {users}.users ADD COLUMN erased_at DATETIME(6) NULL;
