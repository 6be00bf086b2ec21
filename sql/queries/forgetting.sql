-- name: unverified_of_email
-- Earlier registrations of an address whose phone and address nobody verified, locked: they reserve nothing.
SELECT u.id
FROM {users}.users u
WHERE u.email_index IN (:email_indexes)
  AND u.id <> :user_id
  AND u.phone_verified_at IS NULL
  AND u.email_verified_at IS NULL
FOR UPDATE;

-- name: unverified_before
-- Registrations that nobody completed. Who was forgotten has a row without anything, and keeps it; what another node
-- forgets, or somebody verifies just now, is passed over.
SELECT u.id
FROM {users}.users u
WHERE u.phone_verified_at IS NULL
  AND u.created_at < :before
  AND u.email_verified_at IS NULL
  AND u.erased_at IS NULL
ORDER BY u.created_at
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- name: registrations
-- Money needs a verified phone, so no book names such an account: its row goes as well.
DELETE FROM {users}.users WHERE id IN (:user_ids);

-- name: key
-- Without it, everything that was sealed for a customer, in whatever table or copy, is noise.
DELETE FROM {users}.data_keys WHERE user_id IN (:user_ids);

-- name: codes
-- Codes of an account that is gone.
DELETE FROM {users}.sent_codes WHERE user_id IN (:user_ids);

-- name: names
-- Names that the rails told. What remains of the snapshots is figures.
DELETE FROM {users}.name_matches WHERE user_id IN (:user_ids);

-- name: link
-- The Deriv account and its token.
DELETE FROM {users}.deriv_links WHERE user_id IN (:user_ids);

-- name: link_states
-- A browser that returns from Deriv now finds nobody.
DELETE FROM {users}.deriv_link_states WHERE user_id IN (:user_ids);

-- name: notices
-- What was to be said to somebody who is gone.
DELETE FROM {users}.notices WHERE user_id IN (:user_ids);

-- name: tokens
-- Refresh tokens of every device.
DELETE FROM {users}.refresh_tokens
WHERE session_id IN (SELECT s.id FROM {users}.sessions s WHERE s.user_id IN (:user_ids));

-- name: sessions
-- Devices and their names.
DELETE FROM {users}.sessions WHERE user_id IN (:user_ids);
