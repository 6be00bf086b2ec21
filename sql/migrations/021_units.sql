-- Every unit of work that was committed, once. The content hash tells a replay from another unit of the same id.
CREATE TABLE IF NOT EXISTS {ledger}.units (
  unit_id VARCHAR(190) NOT NULL,
  shard SMALLINT NOT NULL,
  seq BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  content_hash BINARY(32) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (unit_id)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
