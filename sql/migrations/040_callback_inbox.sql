-- Evidence, stored before it is acknowledged. Bodies are sealed: they carry phones and names.
CREATE TABLE IF NOT EXISTS {ledger}.callback_inbox (
  id CHAR(26) NOT NULL,
  shard INT NOT NULL,
  kind VARCHAR(16) NOT NULL,
  operation_id VARCHAR(26) NOT NULL,
  dedupe_key VARCHAR(190) NOT NULL,
  source VARCHAR(64) NOT NULL,
  trusted_source TINYINT NOT NULL,
  sealed_body MEDIUMBLOB NOT NULL,
  received_at DATETIME(6) NOT NULL,
  status VARCHAR(12) NOT NULL,
  deliveries INT NOT NULL,
  unit_id VARCHAR(190) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uq_inbox_dedupe (dedupe_key),
  KEY ix_inbox_waiting (status, shard, received_at),
  KEY ix_inbox_operation (operation_id),
  CONSTRAINT ck_inbox_shard CHECK (shard BETWEEN 0 AND 65535),
  CONSTRAINT ck_inbox_status CHECK (status IN ('NEW', 'CONSUMED', 'QUARANTINED'))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
