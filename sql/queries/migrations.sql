-- name: create_history
-- The runner's own table: which file was applied, and exactly which bytes.
CREATE TABLE IF NOT EXISTS {ledger}.schema_migrations (
  name VARCHAR(100) NOT NULL,
  sha256 CHAR(64) NOT NULL,
  applied_at DATETIME(6) NOT NULL,
  took_ms INT NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin;

-- name: history
-- What was applied so far.
SELECT name, sha256 FROM {ledger}.schema_migrations;

-- name: record
-- One file is applied.
INSERT INTO {ledger}.schema_migrations (name, sha256, applied_at, took_ms) VALUES (:name, :sha256, UTC_TIMESTAMP(6), :took_ms);

-- name: installation
-- Which installation this is.
SELECT id, shards FROM {ledger}.installation;

-- name: draw_installation
-- An empty database becomes an installation; a second run changes nothing.
INSERT IGNORE INTO {ledger}.installation (singleton, id, shards, created_at) VALUES (1, :id, :shards, UTC_TIMESTAMP(6));

-- name: seed_lease
-- Every shard and rail has its lease row from the start, free.
INSERT IGNORE INTO {ledger}.leases (name, node, owner, epoch, expires_at, state, conn_id)
VALUES (:name, '', '', 0, UTC_TIMESTAMP(6), 'FREE', 0);

-- name: seed_fence
-- And its fence row, with empty chains.
INSERT IGNORE INTO {ledger}.fences
  (name, owner, epoch, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash, outbox_seq)
VALUES (:name, '', 0, 0, 0, :genesis, 0, :genesis, 0);

-- name: seed_audit_head
-- The chain of staff and sign-ins begins empty.
INSERT IGNORE INTO {audit}.audit_heads (chain, seq, hash) VALUES ('sys', 0, :genesis);

-- name: allow_edges
-- The state machines' edges, for the invariants. Edges of older versions stay allowed: their history is legal.
INSERT IGNORE INTO {ledger}.allowed_edges (type, from_state, to_state) VALUES {rows};

-- name: hosts_of
-- Where the runtime login may come from, if it exists already.
SELECT Host FROM mysql.user WHERE User = :login;

-- name: seed_outbox_cursor
-- The relay of every shard begins at the beginning.
INSERT IGNORE INTO {ledger}.outbox_cursors (shard, seq, updated_at) VALUES (:shard, 0, UTC_TIMESTAMP(6));
