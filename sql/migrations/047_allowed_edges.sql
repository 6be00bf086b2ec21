-- The state machines' edges as the invariants see them; migrate fills it from the code.
CREATE TABLE IF NOT EXISTS {ledger}.allowed_edges (
  type VARCHAR(12) NOT NULL,
  from_state VARCHAR(24) NOT NULL,
  to_state VARCHAR(24) NOT NULL,
  PRIMARY KEY (type, from_state, to_state)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;
