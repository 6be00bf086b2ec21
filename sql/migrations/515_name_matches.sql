-- Names that the rails told of a customer, sealed, and how like the registered one they are (0 to 100).
CREATE TABLE IF NOT EXISTS {users}.name_matches (
  id CHAR(26) NOT NULL,
  user_id CHAR(26) NOT NULL,
  rail VARCHAR(8) NOT NULL,
  reference VARCHAR(64) NOT NULL,
  score SMALLINT NOT NULL,
  matched TINYINT NOT NULL,
  name_sealed VARBINARY(768) NOT NULL,
  seen_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY ix_name_matches_user (user_id, id),
  CONSTRAINT ck_name_matches_score CHECK (score BETWEEN 0 AND 100),
  CONSTRAINT ck_name_matches_rail CHECK (rail IN ('deriv', 'mpesa'))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
