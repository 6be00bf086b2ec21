-- name: put_code
-- A code for a forgotten password, if the address is known and the former code is old enough. The same statement runs
-- for every address. Assignments are made from left to right: `resend_at` decides about all of them, so it comes last.
INSERT INTO {users}.password_codes (user_id, code_hash, attempts, resend_at, expires_at, updated_at)
SELECT u.id, :code_hash, 0, :resend_at, :expires_at, :at
FROM {users}.users u
WHERE u.email_index = :email_index
ON DUPLICATE KEY UPDATE
  code_hash = IF(password_codes.resend_at > :at, password_codes.code_hash, VALUES(code_hash)),
  attempts = IF(password_codes.resend_at > :at, password_codes.attempts, 0),
  expires_at = IF(password_codes.resend_at > :at, password_codes.expires_at, VALUES(expires_at)),
  updated_at = IF(password_codes.resend_at > :at, password_codes.updated_at, :at),
  resend_at = IF(password_codes.resend_at > :at, password_codes.resend_at, VALUES(resend_at));

-- name: contact
-- Where this very code goes. No row: nobody has the address, or an earlier code is still fresh.
SELECT u.id, u.phone_sealed, k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
JOIN {users}.password_codes c ON c.user_id = u.id AND c.code_hash = :code_hash
WHERE u.email_index = :email_index;

-- name: lock_code
-- A code that may still be used, with the password that it would replace. Locked: tries are counted one by one.
SELECT u.id, c.code_hash, u.password_hash
FROM {users}.users u
LEFT JOIN {users}.password_codes c ON c.user_id = u.id AND c.expires_at > :at AND c.attempts < :attempts_max
WHERE u.email_index = :email_index
FOR UPDATE;

-- name: count_try
-- A wrong try. It runs for unknown addresses too, and finds nothing.
UPDATE {users}.password_codes
SET attempts = LEAST(attempts + 1, :attempts_max), updated_at = :at
WHERE user_id = :user_id;

-- name: use_code
-- The code was right: it works no second time.
UPDATE {users}.password_codes SET attempts = :attempts_max, updated_at = :at WHERE user_id = :user_id;

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
