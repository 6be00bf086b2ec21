-- name: sighting
-- Whose database this is, and where it runs.
SELECT id, CONCAT(@@hostname, ':', @@datadir) FROM {ledger}.installation;

-- name: shard_heads
-- How far every shard is.
SELECT name, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash FROM {ledger}.fences WHERE name LIKE 'shard/%';

-- name: sys_head
-- How far the chain of staff and sign-ins is.
SELECT seq, hash FROM {audit}.audit_heads WHERE chain = 'sys';

-- name: lock_sys_head
-- One writer at a time, whichever node it is on.
SELECT seq, hash FROM {audit}.audit_heads WHERE chain = 'sys' FOR UPDATE;

-- name: append_sys
-- Staff and sign-ins.
INSERT INTO {audit}.audit_log (chain, seq, unit_id, at, actor, action, subject, detail, prev_hash, hash) VALUES {rows};

-- name: move_sys_head
-- The head moves with its rows.
UPDATE {audit}.audit_heads SET seq = :seq, hash = :hash WHERE chain = 'sys';

-- name: postings
-- A page of a shard's journal, in the order of its chain.
SELECT
  id, unit_id, COALESCE(transaction_id, ''), posting_key, phase, COALESCE(resolves, ''), seq, prev_hash, hash, created_at
FROM {ledger}.postings
WHERE id > :after AND id <= :last
ORDER BY id
LIMIT :limit;

-- name: entries
-- The legs of a page of postings.
SELECT posting_id, line, account_id, currency, amount_minor, balance_after_minor, account_version
FROM {ledger}.ledger_entries
WHERE posting_id BETWEEN :first AND :last
ORDER BY posting_id, line;

-- name: audit_rows
-- A page of an audit chain.
SELECT seq, unit_id, at, actor, action, subject, detail, prev_hash, hash
FROM {audit}.audit_log
WHERE chain = :chain AND seq > :after
ORDER BY seq
LIMIT :limit;

-- name: stray_entries
-- Legs that belong to no posting.
SELECT e.posting_id
FROM {ledger}.ledger_entries e
LEFT JOIN {ledger}.postings p ON p.id = e.posting_id
WHERE p.id IS NULL
ORDER BY e.posting_id
LIMIT 1;
