-- Head of the sys chain, locked by whoever appends to it.
CREATE TABLE IF NOT EXISTS {audit}.audit_heads (
  chain VARCHAR(24) NOT NULL,
  seq BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (chain)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
