-- Keys under another field key than the one in use are looked for every few seconds; how they begin names it.
CREATE INDEX ix_data_keys_wrapping ON {users}.data_keys (wrapped);
