-- What the codes of withdrawals were asked for: amount and payee bind the code. Rows are added only.
CREATE TABLE IF NOT EXISTS {ledger}.withdrawal_codes (
  id CHAR(26) NOT NULL,
  user_id CHAR(26) NOT NULL,
  amount_minor BIGINT NOT NULL,
  payee VARBINARY(64) NOT NULL,
  asked_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY ix_withdrawal_codes_user (user_id, id),
  CONSTRAINT ck_withdrawal_codes_amount CHECK (amount_minor > 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
