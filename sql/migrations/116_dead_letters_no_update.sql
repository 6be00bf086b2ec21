-- Second lock behind the grants: rows of dead_letters are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.dead_letters_no_update
  BEFORE UPDATE ON {ledger}.dead_letters
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'dead_letters is append-only: no update';
