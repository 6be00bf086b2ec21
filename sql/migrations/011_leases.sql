-- Who owns a shard or a rail, until when (database time). Renewals never wait behind postings: fences is another
-- table.
CREATE TABLE IF NOT EXISTS {ledger}.leases (
  name VARCHAR(40) NOT NULL,
  node VARCHAR(64) NOT NULL,
  owner VARCHAR(64) NOT NULL,
  epoch BIGINT NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  state VARCHAR(8) NOT NULL,
  conn_id BIGINT NOT NULL,
  PRIMARY KEY (name),
  CONSTRAINT ck_leases_state CHECK (state IN ('FREE', 'OWNED'))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
