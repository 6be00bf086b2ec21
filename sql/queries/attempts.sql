-- name: lock_fence
-- Only the owner of the rail may make attempts: whoever takes it over waits for this transaction.
SELECT epoch FROM {ledger}.fences WHERE name = :rail FOR UPDATE;

-- name: lock_operations
-- In the order of their ids, so that two batches never wait for each other in a circle.
SELECT
  id, transaction_id, shard, user_id, kind, state, amount_minor, currency, recipient, reference, request, provider_ref,
  code, attempts_closed, created_at, sealed_request, staff_approved
FROM {ledger}.provider_operations
WHERE id IN (:ids)
ORDER BY id
FOR UPDATE;

-- name: attempts_of
-- The newest attempt of each operation, and who made it.
SELECT operation_id, attempt, epoch, outcome FROM {ledger}.rail_attempts WHERE operation_id IN (:ids) ORDER BY attempt;

-- name: frozen
-- Users of these operations that may not start money calls.
SELECT DISTINCT s.user_id
FROM {ledger}.provider_operations o
JOIN {ledger}.user_status s ON s.user_id = o.user_id AND s.status = 'FROZEN'
WHERE o.id IN (:ids);

-- name: data_keys
-- The wrapped keys of their users, which open the payees.
SELECT DISTINCT k.user_id, k.wrapped
FROM {ledger}.provider_operations o
JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE o.id IN (:ids);

-- name: insert_attempts
-- Permission to send; committed before the first byte.
INSERT INTO {ledger}.rail_attempts
  (operation_id, attempt, rail, epoch, watermark, sent_at, outcome, code, provider_ref, facts)
VALUES {rows};

-- name: end_attempts
-- How attempts ended. The first end stays, but an unknown one gives way to what is known.
UPDATE {ledger}.rail_attempts FORCE INDEX (PRIMARY)
SET code = CASE CONCAT(operation_id, '/', attempt) {code} END,
    provider_ref = CASE CONCAT(operation_id, '/', attempt) {provider_ref} END,
    facts = CASE CONCAT(operation_id, '/', attempt) {facts} END,
    sealed_body = CASE CONCAT(operation_id, '/', attempt) {sealed_body} END,
    ended_at = CASE CONCAT(operation_id, '/', attempt) {ended_at} END,
    outcome = CASE CONCAT(operation_id, '/', attempt) {outcome} END
WHERE operation_id IN (:ids)
  AND CONCAT(operation_id, '/', attempt) IN (:attempts)
  AND outcome IN ('', 'UNKNOWN');

-- name: rail_rows
-- The rows that the ends of attempts left in the inbox.
SELECT dedupe_key, id, shard, kind, operation_id, sealed_body, trusted_source, received_at, deliveries, suspicion
FROM {ledger}.callback_inbox
WHERE dedupe_key IN (:dedupe_keys);

-- name: abandoned
-- Attempts without an end that an earlier owner of the rail made.
SELECT operation_id, attempt FROM {ledger}.rail_attempts WHERE rail = :rail AND outcome = '' AND epoch < :epoch;

-- name: operations
-- Operations by id, with their number of attempts, whether one is under way, and the user's data key.
SELECT
  o.id, o.transaction_id, o.shard, o.user_id, o.kind, o.state, o.amount_minor, o.currency, o.recipient, o.reference,
  o.request, o.provider_ref, o.code, o.attempts_closed, o.created_at, o.sealed_request,
  (SELECT COUNT(*) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id) AS attempts,
  EXISTS (SELECT 1 FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id AND a.outcome = '') AS under_way,
  k.wrapped
FROM {ledger}.provider_operations o
LEFT JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE o.id IN (:ids);

-- name: intents
-- First attempts that nobody has made yet. A retry is asked for by its saga only: it waits for its time. So is a
-- push: its saga first has the recipient checked.
SELECT
  o.id, o.transaction_id, o.shard, o.user_id, o.kind, o.state, o.amount_minor, o.currency, o.recipient, o.reference,
  o.request, o.provider_ref, o.code, o.attempts_closed, o.created_at, o.sealed_request, 0 AS attempts, 0 AS under_way,
  k.wrapped
FROM {ledger}.provider_operations o
LEFT JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE o.kind IN (:kinds)
  AND o.kind <> 'STK'
  AND o.state = 'INTENT'
  AND o.attempts_closed = 0
  AND o.created_at < :older_than
  AND NOT EXISTS (SELECT 1 FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id)
ORDER BY o.created_at
LIMIT :limit;

-- name: unresolved
-- Operations that may have executed something that is not known yet.
SELECT
  o.id, o.transaction_id, o.shard, o.user_id, o.kind, o.state, o.amount_minor, o.currency, o.recipient, o.reference,
  o.request, o.provider_ref, o.code, o.attempts_closed, o.created_at, o.sealed_request, n.attempts, n.under_way,
  k.wrapped
FROM {ledger}.provider_operations o
JOIN (
  SELECT a.operation_id, COUNT(*) AS attempts, MAX(a.outcome = '') AS under_way
  FROM {ledger}.rail_attempts a
  JOIN {ledger}.provider_operations p ON p.id = a.operation_id
  WHERE p.kind = :kind AND p.state IN ('INTENT', 'SENT', 'UNKNOWN')
  GROUP BY a.operation_id
) n ON n.operation_id = o.id
LEFT JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE n.attempts > o.attempts_closed
ORDER BY o.created_at;

-- name: unwitnessed
-- Debits of which our side was not seen: those that were executed, or may have been, and whose withdrawals wait for it,
-- and those that were executed, and whose withdrawals people look at. In one look: a debit may go from here to there.
SELECT
  o.id, o.transaction_id, o.shard, o.user_id, o.kind, o.state, o.amount_minor, o.currency, o.recipient, o.reference,
  o.request, o.provider_ref, o.code, o.attempts_closed, o.created_at, o.sealed_request,
  (SELECT COUNT(*) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id) AS attempts,
  EXISTS (SELECT 1 FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id AND a.outcome = '') AS under_way,
  k.wrapped,
  o.state = 'CONFIRMED' AND t.state = 'IN_REVIEW' AS in_review
FROM {ledger}.provider_operations o
JOIN {ledger}.transactions t ON t.id = o.transaction_id
LEFT JOIN {users}.data_keys k ON k.user_id = o.user_id
WHERE o.kind = 'DERIV_WITHDRAW'
  AND o.state IN ('INTENT', 'SENT', 'UNKNOWN', 'CONFIRMED')
  AND o.created_at >= :since
  AND CASE
    WHEN o.state <> 'CONFIRMED' THEN EXISTS (
      SELECT 1 FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id AND a.attempt > o.attempts_closed
    )
    WHEN t.state = 'IN_REVIEW' THEN NOT EXISTS (
      SELECT 1
      FROM {ledger}.provider_references r
      WHERE r.operation_id = o.id AND r.kind IN ('deriv_credit', 'deriv_credit_claimed')
    )
    ELSE t.state = 'DEBITED'
  END
ORDER BY o.created_at;

-- name: newest
-- The newest attempt of each operation.
SELECT a.operation_id, a.attempt, a.sent_at, a.watermark, a.provider_ref, a.code
FROM {ledger}.rail_attempts a
WHERE a.operation_id IN (:ids)
ORDER BY a.attempt;

-- name: executed_references
-- Which of these ids were named by an end that confirms an operation, as long as its shard has not recorded it.
SELECT a.provider_ref, a.operation_id
FROM {ledger}.provider_operations o
JOIN {ledger}.rail_attempts a ON a.operation_id = o.id
WHERE o.kind IN (:kinds)
  AND o.state <> 'CONFIRMED'
  AND a.outcome = 'CONFIRMED'
  AND a.provider_ref IN (:refs);

-- name: used_references
-- Which of these ids of a provider are taken, and by which operation.
SELECT ref, operation_id FROM {ledger}.provider_references WHERE kind = :kind AND ref IN (:refs);
