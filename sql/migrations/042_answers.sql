-- The first answer to every idempotent request, byte for byte, sealed.
CREATE TABLE IF NOT EXISTS {ledger}.answers (
  user_id CHAR(26) NOT NULL,
  route VARCHAR(64) NOT NULL,
  key_hash VARCHAR(64) NOT NULL,
  fingerprint VARCHAR(128) NOT NULL,
  status SMALLINT NOT NULL,
  location VARCHAR(255) NOT NULL,
  content_type VARCHAR(64) NOT NULL,
  sealed_body MEDIUMBLOB NOT NULL,
  transaction_id VARCHAR(26) NOT NULL,
  unit_id VARCHAR(190) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id, route, key_hash),
  CONSTRAINT ck_answers_status CHECK (status BETWEEN 200 AND 499)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
