-- Events for the streams, in the shard's gapless order, written with what they tell of.
CREATE TABLE IF NOT EXISTS {ledger}.outbox (
  shard SMALLINT NOT NULL,
  seq BIGINT NOT NULL,
  stream VARCHAR(24) NOT NULL,
  event_id VARCHAR(64) NOT NULL,
  type VARCHAR(48) NOT NULL,
  user_id VARCHAR(26) NOT NULL,
  body MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard, seq),
  KEY ix_outbox_user (user_id, shard, seq)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
