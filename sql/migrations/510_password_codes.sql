-- The newest code that was sent for a forgotten password, as a keyed hash. Used up, it stays until it is replaced.
CREATE TABLE IF NOT EXISTS {users}.password_codes (
  user_id CHAR(26) NOT NULL,
  code_hash BINARY(32) NOT NULL,
  attempts INT NOT NULL,
  resend_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id),
  CONSTRAINT ck_password_codes_attempts CHECK (attempts >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
