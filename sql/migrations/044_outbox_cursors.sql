-- How far the relay has come in each shard's outbox.
CREATE TABLE IF NOT EXISTS {ledger}.outbox_cursors (
  shard SMALLINT NOT NULL,
  seq BIGINT NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
