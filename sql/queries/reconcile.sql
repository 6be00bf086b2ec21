-- name: booked
-- Ids of providers that the books used up: the asked ones, and all that were recorded since then. The amount is what the
-- unit moved on the provider's account, or what people later booked of what left without a reason. A receipt that was
-- attached later, or that corrected what a query was believed about, counts as all that was booked for the payment. With
-- what people corrected when the provider had moved another amount.
SELECT
  r.ref, r.created_at, o.kind, o.transaction_id, t.data,
  (SELECT MAX(a.sent_at) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id) AS sent_at,
  COALESCE(
    (
      SELECT SUM(e.amount_minor)
      FROM {ledger}.postings p
      JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
      JOIN {ledger}.accounts c ON c.id = e.account_id
      WHERE p.unit_id = r.unit_id AND c.code = :account AND p.posting_key <> 'opening'
        AND NOT EXISTS (
          SELECT 1 FROM {ledger}.postings q WHERE q.unit_id = r.unit_id AND q.posting_key = 'corrected'
        )
    ),
    (
      SELECT SUM(e.amount_minor)
      FROM {ledger}.postings p
      JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
      JOIN {ledger}.accounts c ON c.id = e.account_id
      WHERE p.transaction_id IS NULL
        AND p.posting_key IN (CONCAT('own:', LEFT(r.ref, 24)), CONCAT('lost:', LEFT(r.ref, 24)))
        AND c.code = :account
    ),
    (
      SELECT SUM(e.amount_minor)
      FROM {ledger}.postings p
      JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
      JOIN {ledger}.accounts c ON c.id = e.account_id
      WHERE o.kind = 'STK' AND p.transaction_id = o.transaction_id
        AND p.posting_key IN ('paid', 'suspense', 'corrected')
        AND c.code = :account
    )
  ) + COALESCE(
    (
      SELECT SUM(e.amount_minor)
      FROM {ledger}.postings p
      JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
      JOIN {ledger}.accounts c ON c.id = e.account_id
      WHERE p.transaction_id IS NULL AND p.posting_key = CONCAT('correct:', LEFT(r.ref, 24)) AND c.code = :account
    ),
    0
  ) AS moved_minor
FROM {ledger}.provider_references r
LEFT JOIN {ledger}.provider_operations o ON o.id = r.operation_id
LEFT JOIN {ledger}.transactions t ON t.id = o.transaction_id
WHERE r.kind IN (:kinds) AND (r.created_at >= :since OR r.ref IN (:refs));

-- name: claims
-- Pushes that a payment may name, as long as no receipt belongs to them: a second payment is money of nobody.
SELECT o.reference, o.id
FROM {ledger}.provider_operations o
WHERE o.kind = 'STK'
  AND o.reference IN (:references)
  AND NOT EXISTS (
    SELECT 1 FROM {ledger}.provider_references r WHERE r.operation_id = o.id AND r.kind = 'mpesa_receipt'
  );

-- name: balances
-- What our books say that the providers hold, over all shards.
SELECT code, SUM(balance_minor)
FROM {ledger}.accounts
WHERE code IN ('mpesa_paybill', 'mpesa_utility', 'deriv_agent')
GROUP BY code;

-- name: open_ended
-- Operations whose attempt has no proven end: their money may or may not have moved.
SELECT o.kind, COUNT(*)
FROM {ledger}.provider_operations o
WHERE o.state IN ('INTENT', 'SENT', 'UNKNOWN')
  AND o.attempts_closed < (SELECT COUNT(*) FROM {ledger}.rail_attempts a WHERE a.operation_id = o.id)
GROUP BY o.kind;

-- name: awaited
-- What the agent's account may still show for operations of ours: what has no proven end, and debits without a witness.
-- Also what was not sent as far as these books know: they may have been put back from a copy.
SELECT o.kind, o.amount_minor
FROM {ledger}.provider_operations o
JOIN {ledger}.transactions t ON t.id = o.transaction_id
WHERE o.kind IN ('DERIV_TRANSFER', 'DERIV_RETURN', 'DERIV_WITHDRAW')
  AND t.completed_at IS NULL
  AND NOT EXISTS (
    SELECT 1
    FROM {ledger}.provider_references r
    WHERE r.operation_id = o.id AND r.kind IN ('deriv_transaction', 'deriv_credit', 'deriv_credit_claimed')
  );

-- name: answered
-- What the questions of a kind that belong to no transaction told people who have answered them.
SELECT evidence
FROM {ledger}.review_items
WHERE transaction_id = '' AND kind = :kind AND closed_at IS NOT NULL;

-- name: cursors
-- Up to when each list agreed with the books, or was filed by the node.
SELECT source, agreed_until FROM {ledger}.reconcile_cursors;

-- name: add_cursor
-- The first look at a list begins with a row. Never beyond the database's own time: clocks of nodes may be ahead.
INSERT IGNORE INTO {ledger}.reconcile_cursors (source, agreed_until, updated_at)
VALUES (:source, LEAST(:agreed_until, UTC_TIMESTAMP(6)), :at);

-- name: move_cursor
-- Everything up to here agreed; never backwards, nor beyond the database's own time.
UPDATE {ledger}.reconcile_cursors
SET agreed_until = GREATEST(agreed_until, LEAST(:agreed_until, UTC_TIMESTAMP(6))), updated_at = :at
WHERE source = :source;
