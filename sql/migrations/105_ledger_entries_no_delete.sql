-- Second lock behind the grants: rows of ledger_entries are never removed.
CREATE TRIGGER IF NOT EXISTS {ledger}.ledger_entries_no_delete
  BEFORE DELETE ON {ledger}.ledger_entries
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ledger_entries is append-only: no delete';
