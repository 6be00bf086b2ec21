-- name: add
-- Evidence of any node. A repeated key changes nothing, and is told apart by asking which row holds it. IGNORE would
-- also cut long texts: the writer checks lengths first.
INSERT IGNORE INTO {ledger}.callback_inbox
  (id, shard, kind, operation_id, dedupe_key, source, trusted_source, sealed_body, received_at, status, deliveries)
VALUES {rows};

-- name: holders
-- Which row holds each key.
SELECT dedupe_key, id FROM {ledger}.callback_inbox WHERE dedupe_key IN (:dedupe_keys);

-- name: waiting
-- Rows of a shard that nobody has consumed, oldest first.
SELECT id, shard, kind, operation_id, sealed_body, trusted_source, received_at, deliveries, suspicion
FROM {ledger}.callback_inbox
WHERE status = 'NEW' AND shard = :shard AND received_at < :older_than
ORDER BY received_at, id
LIMIT :limit;

-- name: transactions_of
-- Whose operations these are.
SELECT id, transaction_id FROM {ledger}.provider_operations WHERE id IN (:operation_ids);

-- name: delivered
-- Whoever took these rows broke over them once more, and has none of them in hand.
UPDATE {ledger}.callback_inbox
SET deliveries = deliveries + 1,
    suspicion = LEAST(suspicion, :suspect)
WHERE id IN (:ids) AND status = 'NEW';

-- name: suspect
-- A suspect row is in somebody's hand, or not any more.
UPDATE {ledger}.callback_inbox SET suspicion = :suspicion WHERE id = :id AND status = 'NEW';

-- name: consumed_by_rail
-- Results of a rail's own questions (balances) belong to no shard.
UPDATE {ledger}.callback_inbox SET status = 'CONSUMED' WHERE id IN (:ids) AND shard = 65535 AND status = 'NEW';
