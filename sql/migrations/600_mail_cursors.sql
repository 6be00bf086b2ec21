-- How far the customers of each shard have been told by mail what became of their transactions.
CREATE TABLE IF NOT EXISTS {users}.mail_cursors (
  shard SMALLINT NOT NULL,
  seq BIGINT NOT NULL,
  claimed_until DATETIME(6) NOT NULL,
  PRIMARY KEY (shard)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
