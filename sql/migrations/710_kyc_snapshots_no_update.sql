-- What was known of a customer stays as it was written: rows of kyc_snapshots are never changed.
CREATE TRIGGER IF NOT EXISTS {users}.kyc_snapshots_no_update
  BEFORE UPDATE ON {users}.kyc_snapshots
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kyc_snapshots is append-only: no update';
