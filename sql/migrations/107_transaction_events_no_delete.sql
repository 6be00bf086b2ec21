-- Second lock behind the grants: rows of transaction_events are never removed.
CREATE TRIGGER IF NOT EXISTS {ledger}.transaction_events_no_delete
  BEFORE DELETE ON {ledger}.transaction_events
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'transaction_events is append-only: no delete';
