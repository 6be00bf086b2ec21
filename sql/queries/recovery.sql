-- name: phone_of_email
-- Where a code for a forgotten password goes: never to a number that nobody proved to be the account's.
SELECT u.id, u.phone_sealed, k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE u.email_index IN (:email_indexes) AND u.phone_verified_at IS NOT NULL;

-- name: lock_password
-- The password that would be replaced.
SELECT u.id, u.password_hash FROM {users}.users u WHERE u.email_index IN (:email_indexes) FOR UPDATE;

-- name: replace_password
-- A new password, and a while without withdrawals. A hold is never shortened.
UPDATE {users}.users
SET
  password_hash = :password_hash,
  withdrawals_held_until = GREATEST(COALESCE(withdrawals_held_until, :held_until), :held_until),
  updated_at = :at
WHERE id = :user_id;

-- name: end_sessions
-- Every session but one ends; with an empty `keep` all of them.
UPDATE {users}.sessions
SET ended_at = :at, end_reason = :reason
WHERE user_id = :user_id AND id <> :keep AND ended_at IS NULL;
