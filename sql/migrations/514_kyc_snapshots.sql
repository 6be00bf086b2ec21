-- What was known of a customer each time their tier could change. Versions follow one another; rows are added only.
CREATE TABLE IF NOT EXISTS {users}.kyc_snapshots (
  user_id CHAR(26) NOT NULL,
  version INT NOT NULL,
  tier TINYINT NOT NULL,
  reason VARCHAR(24) NOT NULL,
  actor VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  reference VARCHAR(160) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  phone_verified TINYINT NOT NULL,
  deriv_linked TINYINT NOT NULL,
  name_score SMALLINT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id, version),
  CONSTRAINT ck_kyc_snapshots_tier CHECK (tier BETWEEN 0 AND 3),
  CONSTRAINT ck_kyc_snapshots_version CHECK (version > 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
