-- Single-use marks that tie the browser's return from Deriv to the customer who left.
CREATE TABLE IF NOT EXISTS {users}.deriv_link_states (
  state_hash BINARY(32) NOT NULL,
  user_id CHAR(26) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  used_at DATETIME(6) NULL,
  PRIMARY KEY (state_hash),
  KEY ix_deriv_link_states_user (user_id, created_at)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
