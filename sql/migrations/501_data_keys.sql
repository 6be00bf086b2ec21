-- One wrapped key per customer. Without its row everything sealed with it is forgotten.
CREATE TABLE IF NOT EXISTS {users}.data_keys (
  user_id CHAR(26) NOT NULL,
  wrapped VARBINARY(255) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
