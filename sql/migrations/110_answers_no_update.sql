-- Second lock behind the grants: rows of answers are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.answers_no_update
  BEFORE UPDATE ON {ledger}.answers
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'answers is append-only: no update';
