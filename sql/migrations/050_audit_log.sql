-- Who did what, chained. One chain per shard and one named sys for staff and sign-ins.
CREATE TABLE IF NOT EXISTS {audit}.audit_log (
  chain VARCHAR(24) NOT NULL,
  seq BIGINT NOT NULL,
  unit_id VARCHAR(190) NOT NULL,
  at DATETIME(6) NOT NULL,
  actor VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  action VARCHAR(64) NOT NULL,
  subject VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  detail BLOB NOT NULL,
  prev_hash BINARY(32) NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (chain, seq)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
