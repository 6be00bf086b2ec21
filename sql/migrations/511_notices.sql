-- What a customer must be told about their own account: written with the change, kept until it was sent or given up.
CREATE TABLE IF NOT EXISTS {users}.notices (
  id CHAR(26) NOT NULL,
  user_id CHAR(26) NOT NULL,
  kind VARCHAR(24) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  due_at DATETIME(6) NOT NULL,
  tries INT NOT NULL DEFAULT 0,
  ended_at DATETIME(6) NULL,
  outcome VARCHAR(16) NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY ix_notices_due (ended_at, due_at),
  KEY ix_notices_user (user_id, id),
  CONSTRAINT ck_notices_end CHECK ((ended_at IS NULL) = (outcome = '')),
  CONSTRAINT ck_notices_tries CHECK (tries >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
