-- Second lock behind the grants: rows of quotes are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.quotes_no_update
  BEFORE UPDATE ON {ledger}.quotes
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'quotes is append-only: no update';
