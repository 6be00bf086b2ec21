-- name: lock_phone
-- The present number, locked, with what seals the next one. No row for a customer who was forgotten.
SELECT u.phone_index, u.phone_verified_at IS NOT NULL, k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE u.id = :user_id
FOR UPDATE;

-- name: pin_notices
-- What is still to be said goes to the number that was there when it happened.
UPDATE {users}.notices n
JOIN {users}.users u ON u.id = n.user_id
SET n.phone_sealed = u.phone_sealed
WHERE n.user_id = :user_id AND n.ended_at IS NULL AND n.phone_sealed = '';

-- name: set_phone
-- Another number, the account's own from now on. Only a number that was verified before is worth a hold, which is never
-- shortened; assignments are made from left to right, so that is decided by what was there.
UPDATE {users}.users
SET
  withdrawals_held_until = IF(
    phone_verified_at IS NULL,
    withdrawals_held_until,
    GREATEST(COALESCE(withdrawals_held_until, :held_until), :held_until)
  ),
  phone_index = :phone_index, verified_phone_index = :phone_index, phone_sealed = :phone_sealed,
  phone_mask = :phone_mask, phone_verified_at = :at, updated_at = :at
WHERE id = :user_id;

-- name: end_sessions
-- Every session but the one that asks ends.
UPDATE {users}.sessions
SET ended_at = :at, end_reason = 'phone_changed'
WHERE user_id = :user_id AND id <> :keep AND ended_at IS NULL;
