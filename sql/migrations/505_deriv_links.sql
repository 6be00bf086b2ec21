-- The customer's Deriv account. `active_loginid` is set while the link is active: one account, one customer.
CREATE TABLE IF NOT EXISTS {users}.deriv_links (
  user_id CHAR(26) NOT NULL,
  status VARCHAR(16) NOT NULL,
  loginid VARCHAR(32) NOT NULL,
  active_loginid VARCHAR(32) NULL,
  currency VARCHAR(8) NOT NULL,
  token_sealed VARBINARY(512) NOT NULL,
  fullname_sealed VARBINARY(768) NOT NULL,
  email_sealed VARBINARY(512) NOT NULL,
  linked_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id),
  UNIQUE KEY uq_deriv_links_active (active_loginid),
  CONSTRAINT ck_deriv_links_status CHECK (status IN ('none', 'active', 'name_mismatch')),
  CONSTRAINT ck_deriv_links_active CHECK ((status = 'active') = (active_loginid IS NOT NULL))
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
