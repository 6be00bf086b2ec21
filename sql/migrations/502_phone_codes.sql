-- The newest code that was sent to an unverified phone, as a keyed hash.
CREATE TABLE IF NOT EXISTS {users}.phone_codes (
  user_id CHAR(26) NOT NULL,
  phone_index BINARY(32) NOT NULL,
  code_hash BINARY(32) NOT NULL,
  attempts INT NOT NULL,
  resend_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id),
  KEY ix_phone_codes_phone (phone_index, updated_at),
  CONSTRAINT ck_phone_codes_attempts CHECK (attempts >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
