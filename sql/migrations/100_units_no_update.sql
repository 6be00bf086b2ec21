-- Second lock behind the grants: rows of units are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.units_no_update
  BEFORE UPDATE ON {ledger}.units
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'units is append-only: no update';
