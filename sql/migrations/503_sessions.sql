-- One signed-in device, which is also one family of refresh tokens.
CREATE TABLE IF NOT EXISTS {users}.sessions (
  id CHAR(26) NOT NULL,
  user_id CHAR(26) NOT NULL,
  device_id VARCHAR(64) NOT NULL,
  device_name VARCHAR(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  platform VARCHAR(16) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  used_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  ended_at DATETIME(6) NULL,
  end_reason VARCHAR(24) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY ix_sessions_user (user_id, ended_at),
  CONSTRAINT ck_sessions_end CHECK ((ended_at IS NULL) = (end_reason = ''))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
