-- Second lock behind the grants: rows of outbox are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.outbox_no_update
  BEFORE UPDATE ON {ledger}.outbox
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'outbox is append-only: no update';
