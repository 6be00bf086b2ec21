-- name: transactions
-- The rows that are the truth about transactions.
SELECT
  id, shard, user_id, type, state, status, version, send_minor, send_currency, receive_minor, receive_currency,
  quote_id, mid_rate_e6, spread_e6, phone_mask, deriv_loginid, route, key_hash, eat_day, limit_usd_minor, counts,
  failure_code, data, next_wake_at, created_at, updated_at, completed_at
FROM {ledger}.transactions
WHERE id IN (:ids);

-- name: operations
-- Their provider operations with what the rails did, and still do, about each. The data key belongs to the user and opens the payee.
SELECT
  o.id, o.transaction_id, o.shard, o.user_id, o.kind, o.state, o.amount_minor, o.currency, o.recipient, o.reference,
  o.request, o.provider_ref, o.code, o.attempts_closed, o.created_at, o.sealed_request,
  (SELECT COUNT(*) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id) AS attempts,
  EXISTS (SELECT 1 FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id AND a.outcome = '') AS under_way,
  k.wrapped
FROM {ledger}.provider_operations o
LEFT JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE o.transaction_id IN (:transaction_ids)
ORDER BY o.created_at, o.id;

-- name: evidence
-- What arrived for these operations and no unit has consumed yet, in the order of arrival.
SELECT id, shard, kind, operation_id, sealed_body, trusted_source, received_at, deliveries, suspicion
FROM {ledger}.callback_inbox
WHERE operation_id IN (:operation_ids) AND status = 'NEW'
ORDER BY received_at, id;

-- name: due
-- Waiting transactions whose time has come: money that must go on first, customers who have not paid behind it, and
-- last what has failed and is only looked at once more.
SELECT id, next_wake_at
FROM {ledger}.transactions
WHERE shard = :shard AND next_wake_at <= :now
ORDER BY
  CASE
    WHEN state IN ('DEBITED', 'B2C_SENDING', 'B2C_HELD', 'AWAITING_RESULT', 'RETURN_SENDING') THEN 0
    WHEN state IN ('PAID', 'DERIV_SENDING', 'DERIV_HELD', 'REFUND_SENDING') THEN 1
    WHEN state LIKE '%UNKNOWN' THEN 2
    WHEN state = 'FAILED' THEN 4
    ELSE 3
  END,
  next_wake_at
LIMIT :limit;

-- name: filed_credit
-- The question about dollars that were set aside as nobody's, and the debit that people found them to be of since.
SELECT
  r.id, r.shard, r.transaction_id, r.operation_id, r.kind, r.reason, r.owner_role, r.opened_at, r.due_at, r.closed_at,
  r.resolution, r.evidence, COALESCE(c.operation_id, '')
FROM {ledger}.review_items r
LEFT JOIN {ledger}.provider_references c ON c.kind = 'deriv_credit_claimed' AND c.ref = :ref
WHERE r.kind = 'credit_unmatched' AND JSON_VALUE(r.evidence, '$.ref') = :ref;

-- name: has_open_question
-- One row if people have an open question of this kind about a transaction.
SELECT id
FROM {ledger}.review_items
WHERE transaction_id = :transaction_id AND kind = :kind AND closed_at IS NULL
LIMIT 1;
