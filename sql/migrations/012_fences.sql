-- The row that every writing transaction of a shard or rail locks first, with the heads of the shard's sequences.
CREATE TABLE IF NOT EXISTS {ledger}.fences (
  name VARCHAR(40) NOT NULL,
  owner VARCHAR(64) NOT NULL,
  epoch BIGINT NOT NULL,
  unit_seq BIGINT NOT NULL,
  chain_seq BIGINT NOT NULL,
  chain_hash BINARY(32) NOT NULL,
  audit_seq BIGINT NOT NULL,
  audit_hash BINARY(32) NOT NULL,
  outbox_seq BIGINT NOT NULL,
  PRIMARY KEY (name),
  CONSTRAINT ck_fences_epoch CHECK (epoch >= 0),
  CONSTRAINT ck_fences_seqs CHECK (unit_seq >= 0 AND chain_seq >= 0 AND audit_seq >= 0 AND outbox_seq >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
