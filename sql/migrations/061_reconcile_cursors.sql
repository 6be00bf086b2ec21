-- Up to when a provider's list was compared with the books and agreed, item by item.
CREATE TABLE IF NOT EXISTS {ledger}.reconcile_cursors (
  source VARCHAR(32) NOT NULL,
  agreed_until DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (source)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
