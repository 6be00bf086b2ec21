-- Others than mail follow what happened as well, each as far as it has come.
ALTER TABLE {users}.mail_cursors
  ADD COLUMN reader VARCHAR(16) NOT NULL DEFAULT 'mail' FIRST,
  DROP PRIMARY KEY,
  ADD PRIMARY KEY (reader, shard);
