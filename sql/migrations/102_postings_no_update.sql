-- Second lock behind the grants: rows of postings are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.postings_no_update
  BEFORE UPDATE ON {ledger}.postings
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'postings is append-only: no update';
