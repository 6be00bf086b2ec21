-- Second lock behind the grants: rows of ledger_entries are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.ledger_entries_no_update
  BEFORE UPDATE ON {ledger}.ledger_entries
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ledger_entries is append-only: no update';
