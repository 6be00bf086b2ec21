-- name: claim
-- The first decision that names this reference has it. A repetition moves the time by the least there is: whoever was
-- first sees that the reference is not his alone any more.
INSERT INTO {users}.approvals (reference_hash, action, subject, people_hash, approved_at)
VALUES (:reference_hash, :action, :subject, :people_hash, :at)
ON DUPLICATE KEY UPDATE
  approved_at = IF(
    action = VALUES(action) AND subject = VALUES(subject) AND people_hash = VALUES(people_hash),
    approved_at + INTERVAL 1 MICROSECOND,
    approved_at
  );

-- name: claimed
-- What a reference was used for.
SELECT action, subject, people_hash, approved_at FROM {users}.approvals WHERE reference_hash = :reference_hash;

-- name: free
-- Take back a claim that came to nothing, unless somebody has repeated it since or it was one of an earlier time.
DELETE FROM {users}.approvals WHERE reference_hash = :reference_hash AND approved_at = :at;

-- name: standing
-- Who a decision is about.
SELECT u.shard, COALESCE(f.status, 'ACTIVE'), u.erased_at IS NOT NULL, u.kyc_tier
FROM {users}.users u
LEFT JOIN {ledger}.user_status f ON f.user_id = u.id
WHERE u.id = :user_id;

-- name: open_money
-- What still moves or stands open for a customer, by the kind of it. No row: nothing.
SELECT 'transaction', t.id
FROM {ledger}.transactions t
WHERE t.user_id = :user_id AND t.status NOT IN ('COMPLETED', 'FAILED', 'REVERSED')
UNION ALL
SELECT 'balance', a.id
FROM {ledger}.accounts a
WHERE a.user_id = :user_id AND a.balance_minor <> 0
UNION ALL
SELECT 'operation', o.id
FROM {ledger}.provider_operations o
WHERE o.user_id = :user_id AND o.state IN ('INTENT', 'SENT', 'UNKNOWN')
UNION ALL
SELECT 'review', r.id
FROM {ledger}.review_items r
JOIN {ledger}.transactions t ON t.id = r.transaction_id
WHERE t.user_id = :user_id AND r.closed_at IS NULL
LIMIT 5;

-- name: forget_user
-- Nothing personal is left in the row, and nobody finds it any more: the indexes are drawn at random.
UPDATE {users}.users
SET
  email_index = :email_index, phone_index = :phone_index, verified_phone_index = NULL, phone_verified_at = NULL, email_verified_at = NULL,
  email_sealed = '', phone_sealed = '', name_sealed = '', phone_mask = '', password_hash = '', pin_hash = '',
  pin_failures = 0, pin_locked_until = NULL, withdrawals_held_until = NULL, kyc_tier = 0,
  erased_at = COALESCE(erased_at, :at), updated_at = :at
WHERE id = :user_id;
