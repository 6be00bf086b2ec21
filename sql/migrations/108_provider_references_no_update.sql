-- Second lock behind the grants: rows of provider_references are never changed.
CREATE TRIGGER IF NOT EXISTS {ledger}.provider_references_no_update
  BEFORE UPDATE ON {ledger}.provider_references
  FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'provider_references is append-only: no update';
