-- Second lock behind the grants: rows of units are never removed.
CREATE TRIGGER IF NOT EXISTS {ledger}.units_no_delete
  BEFORE DELETE ON {ledger}.units
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'units is append-only: no delete';
