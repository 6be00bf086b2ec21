-- name: users
-- What admission must know of these users, in one look: whether they are frozen (no row means not), deposits that count
-- for the day's limit or whose prompt may still be on the phone, and when their newest push was allowed to leave.
SELECT 'status' AS about, user_id, status AS state, '' AS id, '' AS eat_day, 0, 0, '', NULL
FROM {ledger}.user_status
WHERE user_id IN (:user_ids)
UNION ALL
SELECT
  CASE WHEN state IN ('STK_SENDING', 'AWAITING_PAYER', 'STK_UNKNOWN') THEN 'open' ELSE 'day' END,
  user_id, state, id, eat_day, receive_minor, send_minor, send_currency, created_at
FROM {ledger}.transactions
WHERE user_id IN (:user_ids)
  AND type = 'DEPOSIT'
  AND ((counts = 1 AND eat_day IN (:eat_days)) OR state IN ('STK_SENDING', 'AWAITING_PAYER', 'STK_UNKNOWN'))
UNION ALL
SELECT 'withdrawal', user_id, status, id, eat_day, send_minor, 0, '', NULL
FROM {ledger}.transactions
WHERE user_id IN (:user_ids)
  AND type = 'WITHDRAWAL'
  AND ((counts = 1 AND eat_day IN (:eat_days)) OR status NOT IN ('COMPLETED', 'FAILED', 'REVERSED'))
UNION ALL
SELECT 'push', o.user_id, '', '', '', 0, 0, '', MAX(a.sent_at)
FROM {ledger}.provider_operations o
JOIN {ledger}.rail_attempts a ON a.operation_id = o.id
WHERE o.user_id IN (:user_ids) AND o.kind = 'STK'
GROUP BY o.user_id;

-- name: answer
-- The stored answer to an idempotent request.
SELECT user_id, route, key_hash, fingerprint, status, location, content_type, sealed_body, transaction_id
FROM {ledger}.answers
WHERE user_id = :user_id AND route = :route AND key_hash = :key_hash;

-- name: add_quote
-- A locked rate.
INSERT INTO {ledger}.quotes
  (id, user_id, direction, send_minor, send_currency, receive_minor, receive_currency, mid_rate_e6, spread_e6,
   created_at, expires_at)
VALUES
  (:id, :user_id, :direction, :send_minor, :send_currency, :receive_minor, :receive_currency, :mid_rate_e6, :spread_e6,
   :created_at, :expires_at);

-- name: add_code
-- What a withdrawal's code was asked for.
INSERT INTO {ledger}.withdrawal_codes (id, user_id, amount_minor, payee, asked_at)
VALUES (:id, :user_id, :amount_minor, :payee, :asked_at);

-- name: newest_code
-- The code that may still be good.
SELECT amount_minor, payee, asked_at
FROM {ledger}.withdrawal_codes
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT 1;

-- name: quote
-- A user's own quote, and whether a transaction has taken it.
SELECT
  q.id, q.user_id, q.direction, q.send_minor, q.send_currency, q.receive_minor, q.receive_currency, q.mid_rate_e6,
  q.spread_e6, q.created_at, q.expires_at,
  EXISTS (SELECT 1 FROM {ledger}.transactions t WHERE t.quote_id = q.id) AS used
FROM {ledger}.quotes q
WHERE q.id = :id AND q.user_id = :user_id;
