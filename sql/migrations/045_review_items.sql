-- Questions for a person, with what is known and until when an answer is due.
CREATE TABLE IF NOT EXISTS {ledger}.review_items (
  id CHAR(26) NOT NULL,
  shard SMALLINT NOT NULL,
  transaction_id VARCHAR(26) NOT NULL,
  operation_id VARCHAR(26) NOT NULL,
  kind VARCHAR(40) NOT NULL,
  reason VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  owner_role VARCHAR(24) NOT NULL,
  evidence TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  due_at DATETIME(6) NOT NULL,
  opened_at DATETIME(6) NOT NULL,
  closed_at DATETIME(6) NULL,
  resolution VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (id),
  KEY ix_reviews_transaction (transaction_id, kind),
  KEY ix_reviews_open (closed_at, due_at)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
