-- What was known of a customer stays as it was written: rows of kyc_snapshots are never removed.
CREATE TRIGGER IF NOT EXISTS {users}.kyc_snapshots_no_delete
  BEFORE DELETE ON {users}.kyc_snapshots
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kyc_snapshots is append-only: no delete';
