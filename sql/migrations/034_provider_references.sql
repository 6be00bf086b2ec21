-- Ids that providers gave (receipts, transactions): each is used by one operation, for ever.
CREATE TABLE IF NOT EXISTS {ledger}.provider_references (
  kind VARCHAR(32) NOT NULL,
  ref VARCHAR(128) NOT NULL,
  operation_id VARCHAR(26) NOT NULL,
  unit_id VARCHAR(190) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (kind, ref),
  KEY ix_references_operation (operation_id)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
