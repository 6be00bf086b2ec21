-- Second lock behind the grants: rows of audit_log are never changed.
CREATE TRIGGER IF NOT EXISTS {audit}.audit_log_no_update
  BEFORE UPDATE ON {audit}.audit_log
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'audit_log is append-only: no update';
