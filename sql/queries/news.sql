-- name: news
-- Shards whose outbox is ahead of what this reader has settled.
SELECT fences.name
FROM {ledger}.fences AS fences
LEFT JOIN {users}.mail_cursors AS cursors
  ON fences.name = CONCAT('shard/', cursors.shard) AND cursors.reader = :reader
WHERE fences.name LIKE 'shard/%' AND fences.outbox_seq > COALESCE(cursors.seq, 0);

-- name: begin
-- A shard's cursor, made at its first look behind everything that is no news any more.
INSERT IGNORE INTO {users}.mail_cursors (reader, shard, seq, claimed_until)
SELECT :reader, :shard, COALESCE(MAX(seq), 0), :at
FROM {ledger}.outbox
WHERE shard = :shard AND created_at < :since
  AND NOT EXISTS (SELECT 1 FROM {users}.mail_cursors AS present WHERE present.reader = :reader AND present.shard = :shard);

-- name: lock
-- The cursor of a shard that nobody is at.
SELECT seq FROM {users}.mail_cursors WHERE reader = :reader AND shard = :shard AND claimed_until <= :at FOR UPDATE;

-- name: claim
-- This node is at it until then.
UPDATE {users}.mail_cursors SET claimed_until = :until WHERE reader = :reader AND shard = :shard;

-- name: next
-- The next events of a shard, with the bodies that the reader follows.
SELECT seq, event_id, user_id, IF(stream = 'transactions' AND body LIKE :about, body, '')
FROM {ledger}.outbox
WHERE shard = :shard AND seq > :seq
ORDER BY seq
LIMIT :limit;

-- name: told
-- Settled up to here, and free again.
UPDATE {users}.mail_cursors
SET seq = GREATEST(seq, :seq), claimed_until = :at
WHERE reader = :reader AND shard = :shard;
