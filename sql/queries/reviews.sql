-- name: open_items
-- Open questions, the most urgent first. A page begins after an item.
SELECT
  r.id, r.shard, r.transaction_id, r.operation_id, r.kind, r.reason, r.owner_role, r.opened_at, r.due_at, r.closed_at,
  r.resolution, r.evidence
FROM {ledger}.review_items r
LEFT JOIN {ledger}.review_items passed ON passed.id = :after_id
WHERE r.closed_at IS NULL
  AND (:after_id = '' OR r.due_at > passed.due_at OR (r.due_at = passed.due_at AND r.id > passed.id))
ORDER BY r.due_at, r.id
LIMIT :limit;

-- name: about
-- The questions that were put to people about a transaction, and those beside it whose evidence names it.
SELECT
  id, shard, transaction_id, operation_id, kind, reason, owner_role, opened_at, due_at, closed_at, resolution, evidence
FROM {ledger}.review_items
WHERE transaction_id = :transaction_id
   OR (transaction_id = '' AND evidence LIKE CONCAT('%', :transaction_id, '%'))
ORDER BY id;

-- name: item
-- One question, open or not.
SELECT
  id, shard, transaction_id, operation_id, kind, reason, owner_role, opened_at, due_at, closed_at, resolution, evidence
FROM {ledger}.review_items
WHERE id = :id;

-- name: open_of_kinds
-- Open questions of some kinds, the newest first: two of them may be about the same money.
SELECT
  id, shard, transaction_id, operation_id, kind, reason, owner_role, opened_at, due_at, closed_at, resolution, evidence
FROM {ledger}.review_items
WHERE closed_at IS NULL
  AND kind IN (:kinds)
ORDER BY opened_at DESC, id DESC
LIMIT :limit;
