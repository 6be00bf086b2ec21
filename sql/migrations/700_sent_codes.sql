-- The newest code that was sent to a customer for each purpose, as a keyed hash. `target_index` is where it went.
CREATE TABLE IF NOT EXISTS {users}.sent_codes (
  user_id CHAR(26) NOT NULL,
  purpose VARCHAR(12) NOT NULL,
  target_index BINARY(32) NOT NULL,
  code_hash BINARY(32) NOT NULL,
  attempts INT NOT NULL,
  resend_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id, purpose),
  KEY ix_sent_codes_target (target_index, purpose, updated_at),
  CONSTRAINT ck_sent_codes_attempts CHECK (attempts >= 0),
  CONSTRAINT ck_sent_codes_purpose CHECK (purpose IN ('phone', 'email', 'password', 'new_phone'))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
