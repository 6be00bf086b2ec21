-- Second lock behind the grants: rows of transaction_events are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.transaction_events_no_update
  BEFORE UPDATE ON {ledger}.transaction_events
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'transaction_events is append-only: no update';
