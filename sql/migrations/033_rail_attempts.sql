-- The rails' own rows: committed before the first byte leaves, ended once. No row means not sent.
CREATE TABLE IF NOT EXISTS {ledger}.rail_attempts (
  operation_id CHAR(26) NOT NULL,
  attempt INT NOT NULL,
  rail VARCHAR(40) NOT NULL,
  epoch BIGINT NOT NULL,
  watermark TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  sent_at DATETIME(6) NOT NULL,
  outcome VARCHAR(12) NOT NULL,
  code VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  provider_ref VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  facts TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  sealed_body MEDIUMBLOB NULL,
  ended_at DATETIME(6) NULL,
  PRIMARY KEY (operation_id, attempt),
  KEY ix_attempts_open (rail, outcome, epoch),
  CONSTRAINT ck_attempts_number CHECK (attempt > 0),
  CONSTRAINT ck_attempts_outcome CHECK (outcome IN ('', 'CONFIRMED', 'REFUSED', 'UNKNOWN', 'NOT_SENT')),
  CONSTRAINT ck_attempts_ended CHECK ((outcome = '') = (ended_at IS NULL))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
