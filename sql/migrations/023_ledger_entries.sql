-- The legs of postings: debit positive. Balance and version after each leg, so that any row can be checked alone.
CREATE TABLE IF NOT EXISTS {ledger}.ledger_entries (
  posting_id BIGINT NOT NULL,
  line SMALLINT NOT NULL,
  account_id VARCHAR(80) NOT NULL,
  currency CHAR(3) NOT NULL,
  amount_minor BIGINT NOT NULL,
  balance_after_minor BIGINT NOT NULL,
  account_version BIGINT NOT NULL,
  PRIMARY KEY (posting_id, line),
  UNIQUE KEY uq_entries_version (account_id, account_version),
  CONSTRAINT ck_entries_not_zero CHECK (amount_minor <> 0),
  CONSTRAINT ck_entries_version CHECK (account_version > 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
