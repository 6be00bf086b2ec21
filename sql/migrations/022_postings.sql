-- The journal: one row per posting, chained per shard. The id is shard * 2^48 + seq, so that it grows with the chain.
CREATE TABLE IF NOT EXISTS {ledger}.postings (
  id BIGINT NOT NULL,
  unit_id VARCHAR(190) NOT NULL,
  shard SMALLINT NOT NULL,
  transaction_id CHAR(26) NULL,
  posting_key VARCHAR(32) NOT NULL,
  phase VARCHAR(8) NOT NULL,
  resolves VARCHAR(32) NULL,
  seq BIGINT NOT NULL,
  prev_hash BINARY(32) NOT NULL,
  hash BINARY(32) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uq_postings_key (transaction_id, posting_key),
  UNIQUE KEY uq_postings_resolves (transaction_id, resolves),
  CONSTRAINT ck_postings_id CHECK (id = shard * 281474976710656 + seq),
  CONSTRAINT ck_postings_phase CHECK (phase IN ('posted', 'pending', 'post', 'void')),
  CONSTRAINT ck_postings_resolves CHECK ((resolves IS NOT NULL) = (phase IN ('post', 'void')))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
