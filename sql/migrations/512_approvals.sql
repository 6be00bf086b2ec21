-- What two people approved, by the reference that they rest it on: a reference carries one decision and no other.
CREATE TABLE IF NOT EXISTS {users}.approvals (
  reference_hash BINARY(32) NOT NULL,
  action VARCHAR(64) NOT NULL,
  subject VARCHAR(64) NOT NULL,
  people_hash BINARY(32) NOT NULL,
  approved_at DATETIME(6) NOT NULL,
  PRIMARY KEY (reference_hash)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
