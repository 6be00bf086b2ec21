-- name: after
-- The next events of a shard, in order.
SELECT shard, seq, stream, event_id, type, user_id, body
FROM {ledger}.outbox
WHERE shard = :shard AND seq > :seq
ORDER BY seq
LIMIT :limit;

-- name: cursor
-- How far the relay has come.
SELECT seq FROM {ledger}.outbox_cursors WHERE shard = :shard;

-- name: newest
-- Place of the newest event of a shard.
SELECT outbox_seq FROM {ledger}.fences WHERE name = :fence;
