-- Balance and version of every account: the sum and the count of its entries.
CREATE TABLE IF NOT EXISTS {ledger}.accounts (
  id VARCHAR(80) NOT NULL,
  shard SMALLINT NOT NULL,
  code VARCHAR(24) NOT NULL,
  currency CHAR(3) NOT NULL,
  user_id VARCHAR(26) NOT NULL,
  balance_minor BIGINT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY ix_accounts_user (user_id),
  CONSTRAINT ck_accounts_currency CHECK (currency IN ('KES', 'USD')),
  CONSTRAINT ck_accounts_owner CHECK ((code = 'customer') = (user_id <> '')),
  CONSTRAINT ck_accounts_version CHECK (version > 0),
  CONSTRAINT ck_accounts_credit_side CHECK (
    code NOT IN ('customer', 'suspense', 'mpesa_charges', 'deriv_out', 'b2c_out', 'refund_out', 'fx_spread', 'rounding')
    OR balance_minor <= 0
  ),
  CONSTRAINT ck_accounts_debit_side CHECK (code NOT IN ('deriv_in', 'mpesa_fees', 'write_off') OR balance_minor >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
