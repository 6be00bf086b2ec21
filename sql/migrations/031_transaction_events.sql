-- What happened to a transaction, step by step. History: never folded, never changed.
CREATE TABLE IF NOT EXISTS {ledger}.transaction_events (
  transaction_id CHAR(26) NOT NULL,
  seq INT NOT NULL,
  version INT NOT NULL,
  epoch BIGINT NOT NULL,
  from_state VARCHAR(24) NOT NULL,
  event VARCHAR(40) NOT NULL,
  to_state VARCHAR(24) NOT NULL,
  data TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (transaction_id, seq)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
