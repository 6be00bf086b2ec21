-- Locked rates. A quote is used when a transaction names it.
CREATE TABLE IF NOT EXISTS {ledger}.quotes (
  id CHAR(26) NOT NULL,
  user_id CHAR(26) NOT NULL,
  direction VARCHAR(12) NOT NULL,
  send_minor BIGINT NOT NULL,
  send_currency CHAR(3) NOT NULL,
  receive_minor BIGINT NOT NULL,
  receive_currency CHAR(3) NOT NULL,
  mid_rate_e6 BIGINT NOT NULL,
  spread_e6 BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY ix_quotes_user (user_id, created_at),
  CONSTRAINT ck_quotes_direction CHECK (direction IN ('DEPOSIT', 'WITHDRAWAL')),
  CONSTRAINT ck_quotes_rate CHECK (mid_rate_e6 > spread_e6 AND spread_e6 >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
