-- name: open_items
-- Every open question, the most urgent first, with the transaction that it is about.
SELECT
  r.id, r.shard, r.transaction_id, r.operation_id, r.kind, r.reason, r.owner_role, r.opened_at, r.due_at, r.closed_at,
  r.resolution, r.evidence, COALESCE(t.type, ''), COALESCE(t.state, ''), t.send_minor, t.send_currency
FROM {ledger}.review_items r
LEFT JOIN {ledger}.transactions t ON t.id = r.transaction_id
WHERE r.closed_at IS NULL
ORDER BY r.due_at, r.id
LIMIT :limit;

-- name: item
-- One question, open or not.
SELECT
  id, shard, transaction_id, operation_id, kind, reason, owner_role, opened_at, due_at, closed_at, resolution, evidence
FROM {ledger}.review_items
WHERE id = :id;
