-- Every refresh token that was ever given out, as SHA-256: a spent one that comes back ends its session.
CREATE TABLE IF NOT EXISTS {users}.refresh_tokens (
  token_hash BINARY(32) NOT NULL,
  session_id CHAR(26) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  spent_at DATETIME(6) NULL,
  successor_sealed VARBINARY(255) NOT NULL DEFAULT '',
  PRIMARY KEY (token_hash),
  KEY ix_refresh_tokens_session (session_id)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
