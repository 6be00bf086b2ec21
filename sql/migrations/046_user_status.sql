-- Whether a user may start money calls. No row means active.
CREATE TABLE IF NOT EXISTS {ledger}.user_status (
  user_id CHAR(26) NOT NULL,
  shard SMALLINT NOT NULL,
  status VARCHAR(8) NOT NULL,
  frozen_at DATETIME(6) NULL,
  reason VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id),
  CONSTRAINT ck_user_status_status CHECK (status IN ('ACTIVE', 'FROZEN')),
  CONSTRAINT ck_user_status_frozen CHECK ((status = 'FROZEN') = (frozen_at IS NOT NULL))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
