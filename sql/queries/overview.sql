-- name: unit_exists
-- Whether a unit of work is recorded.
SELECT 1 FROM {ledger}.units WHERE unit_id = :unit_id;

-- name: account_total
-- What stands on an account of ours, over all shards.
SELECT COALESCE(SUM(balance_minor), 0)
FROM {ledger}.accounts
WHERE code = :code AND currency = :currency AND user_id = '';

-- name: ping
-- Whether the database answers.
SELECT 1;

-- name: shards
-- All there are: the index of open transactions begins with them.
SELECT shard FROM {ledger}.outbox_cursors;

-- name: oldest_open
-- Since when the oldest transaction of each stage waits. What has failed is over, though it may be looked at once more.
SELECT type, state, MIN(created_at)
FROM {ledger}.transactions
WHERE shard IN (:shards) AND next_wake_at > '1970-01-01' AND state <> 'FAILED'
GROUP BY type, state;

-- name: backlog
-- How many transactions wait in each stage, and since when the oldest: those that wake by themselves, then those that
-- wait for a person.
SELECT type, state, COUNT(*), MIN(created_at)
FROM {ledger}.transactions
WHERE shard IN (:shards) AND next_wake_at > '1970-01-01' AND state <> 'FAILED'
GROUP BY type, state
UNION ALL
SELECT t.type, t.state, COUNT(DISTINCT t.id), MIN(t.created_at)
FROM {ledger}.review_items r
JOIN {ledger}.transactions t ON t.id = r.transaction_id
WHERE r.closed_at IS NULL
  AND t.state = 'IN_REVIEW'
  AND t.next_wake_at IS NULL
GROUP BY t.type, t.state;

-- name: late
-- The oldest transactions that still wait for something to happen by itself.
SELECT id, type, state, send_minor, send_currency, created_at, updated_at
FROM {ledger}.transactions
WHERE shard IN (:shards) AND next_wake_at > '1970-01-01' AND state <> 'FAILED'
ORDER BY created_at, id
LIMIT :limit;

-- name: desks
-- How many questions wait for each role, how many of them too long already, and when the next is due.
SELECT owner_role, COUNT(*), CAST(SUM(due_at < :at) AS SIGNED), MIN(due_at)
FROM {ledger}.review_items
WHERE closed_at IS NULL
GROUP BY owner_role
ORDER BY owner_role;

-- name: unknown_operations
-- How many operations of each kind may or may not have been executed. The index begins with the kind.
SELECT kind, COUNT(*)
FROM {ledger}.provider_operations
WHERE kind IN (:kinds) AND state = 'UNKNOWN'
GROUP BY kind;

-- name: outbox_waiting
-- When the oldest event was written that no relay has recorded as sent.
SELECT MIN(outbox.created_at)
FROM {ledger}.outbox_cursors AS cursors
LEFT JOIN {ledger}.outbox AS outbox ON outbox.shard = cursors.shard AND outbox.seq = cursors.seq + 1;

-- name: postings_of
-- What a transaction booked, leg by leg, in the order of its chain.
SELECT postings.posting_key, entries.account_id, entries.currency, entries.amount_minor, postings.created_at
FROM {ledger}.postings AS postings
JOIN {ledger}.ledger_entries AS entries ON entries.posting_id = postings.id
WHERE postings.transaction_id = :transaction_id
ORDER BY postings.seq, entries.line;

-- name: known_reference
-- What an id that a provider gave belongs to. The kinds are named because the key begins with them.
SELECT r.kind, r.ref, o.transaction_id, r.created_at
FROM {ledger}.provider_references r
LEFT JOIN {ledger}.provider_operations o ON o.id = r.operation_id
WHERE r.kind IN (
    'mpesa_receipt', 'mpesa_payout', 'mpesa_reversal', 'deriv_transaction', 'deriv_debit', 'deriv_credit',
    'deriv_credit_claimed'
  )
  AND r.ref IN (:refs)
ORDER BY r.created_at;
