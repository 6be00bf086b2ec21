-- Units that the database refused alone, and messages about money that nobody took.
CREATE TABLE IF NOT EXISTS {ledger}.dead_letters (
  id CHAR(26) NOT NULL,
  shard SMALLINT NOT NULL,
  kind VARCHAR(40) NOT NULL,
  subject VARCHAR(190) NOT NULL,
  reason VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY ix_dead_letters_subject (subject)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
