-- name: transaction
-- A customer's own transaction.
SELECT
  id, shard, user_id, type, state, status, version, send_minor, send_currency, receive_minor, receive_currency,
  quote_id, mid_rate_e6, spread_e6, phone_mask, deriv_loginid, route, key_hash, eat_day, limit_usd_minor, counts,
  failure_code, data, next_wake_at, created_at, updated_at, completed_at
FROM {ledger}.transactions
WHERE id = :id AND user_id = :user_id;

-- name: transactions
-- A page of a customer's history, the newest first. Empty text and NULL do not filter.
SELECT
  id, shard, user_id, type, state, status, version, send_minor, send_currency, receive_minor, receive_currency,
  quote_id, mid_rate_e6, spread_e6, phone_mask, deriv_loginid, route, key_hash, eat_day, limit_usd_minor, counts,
  failure_code, data, next_wake_at, created_at, updated_at, completed_at
FROM {ledger}.transactions
WHERE user_id = :user_id
  AND (:type = '' OR type = :type)
  AND (:status = '' OR status = :status)
  AND (:from_at IS NULL OR created_at >= :from_at)
  AND (:to_at IS NULL OR created_at < :to_at)
  AND (:before_id = '' OR id < :before_id)
ORDER BY id DESC
LIMIT :limit;

-- name: statement_page
-- A page of a customer's statement, the oldest first.
SELECT
  id, shard, user_id, type, state, status, version, send_minor, send_currency, receive_minor, receive_currency,
  quote_id, mid_rate_e6, spread_e6, phone_mask, deriv_loginid, route, key_hash, eat_day, limit_usd_minor, counts,
  failure_code, data, next_wake_at, created_at, updated_at, completed_at
FROM {ledger}.transactions
WHERE user_id = :user_id AND created_at >= :from_at AND created_at < :to_at AND id > :after_id
ORDER BY id
LIMIT :limit;

-- name: statement_size
-- How many lines a customer's statement has.
SELECT COUNT(*) FROM {ledger}.transactions WHERE user_id = :user_id AND created_at >= :from_at AND created_at < :to_at;

-- name: held
-- What was booked with us for a customer before a moment, per currency: what is owed to them stands in credit.
SELECT entries.currency, -SUM(entries.amount_minor)
FROM {ledger}.transactions AS transactions
JOIN {ledger}.postings AS postings ON postings.transaction_id = transactions.id
JOIN {ledger}.ledger_entries AS entries ON entries.posting_id = postings.id
JOIN {ledger}.accounts AS accounts ON accounts.id = entries.account_id
WHERE transactions.user_id = :user_id
  AND postings.created_at < :before_at
  AND accounts.code IN ('customer', 'deriv_out', 'b2c_out', 'refund_out', 'suspense')
GROUP BY entries.currency
ORDER BY entries.currency;

-- name: steps
-- What happened to a transaction, step by step.
SELECT created_at, from_state, event, to_state, data
FROM {ledger}.transaction_events
WHERE transaction_id = :transaction_id
ORDER BY seq;

-- name: answer
-- The stored answer to an idempotent request.
SELECT fingerprint, status, location, content_type, sealed_body, transaction_id
FROM {ledger}.answers
WHERE user_id = :user_id AND route = :route AND key_hash = :key_hash;

-- name: in_flight
-- What open transactions send, per currency.
SELECT send_currency, SUM(send_minor)
FROM {ledger}.transactions
WHERE user_id = :user_id AND status NOT IN ('COMPLETED', 'FAILED', 'REVERSED')
GROUP BY send_currency
ORDER BY send_currency;

-- name: counted
-- Dollars that count against the daily limit: what deposits bring, what withdrawals take.
SELECT COALESCE(SUM(CASE WHEN type = 'DEPOSIT' THEN receive_minor ELSE send_minor END), 0)
FROM {ledger}.transactions
WHERE user_id = :user_id AND type = :type AND eat_day = :eat_day AND counts = 1;

-- name: events
-- A customer's events behind a place in the shard's order.
SELECT shard, seq, stream, event_id, type, user_id, body
FROM {ledger}.outbox
WHERE user_id = :user_id AND shard = :shard AND seq > :seq AND stream IN ('transactions', 'balances')
ORDER BY seq
LIMIT :limit;

-- name: newest_seq
-- The shard's newest event.
SELECT COALESCE(MAX(seq), 0) FROM {ledger}.outbox WHERE shard = :shard;
