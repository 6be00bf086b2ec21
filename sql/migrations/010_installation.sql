-- Which installation this database belongs to. One row, drawn by migrate in an empty database.
CREATE TABLE IF NOT EXISTS {ledger}.installation (
  singleton TINYINT NOT NULL,
  id CHAR(26) NOT NULL,
  shards SMALLINT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (singleton),
  CONSTRAINT ck_installation_one_row CHECK (singleton = 1),
  CONSTRAINT ck_installation_shards CHECK (shards BETWEEN 1 AND 256)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
