-- name: identities
-- Everything that requests must know of who sent them, in one look for all that wait. A customer comes once per living
-- session that was asked about, or once without one. An erased customer has no data key and is nobody.
SELECT
  u.id, COALESCE(s.id, ''), u.shard, COALESCE(f.status, 'ACTIVE'), u.phone_sealed, u.phone_mask,
  u.phone_verified_at IS NOT NULL, u.kyc_tier, u.pin_hash <> '', COALESCE(l.active_loginid, ''), k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
LEFT JOIN {ledger}.user_status f ON f.user_id = u.id
LEFT JOIN {users}.deriv_links l ON l.user_id = u.id
LEFT JOIN {users}.sessions s
  ON s.id IN (:session_ids) AND s.user_id = u.id AND s.ended_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6)
WHERE u.id IN (:user_ids);

-- name: profile
-- What a customer may see of themselves.
SELECT u.email_sealed, u.name_sealed, u.created_at, u.email_verified_at IS NOT NULL, u.withdrawals_held_until, k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE u.id = :user_id;

-- name: add_user
-- A registration. The address is unique under whatever key it was indexed, the phone only once it is verified. A known
-- address changes nothing, and the statements after this one then find nobody: they run all the same. Registrations of
-- it that nobody verified were taken away just before.
INSERT INTO {users}.users
  (id, shard, email_index, phone_index, email_sealed, phone_sealed, name_sealed, phone_mask, password_hash, kyc_tier,
   created_at, updated_at)
SELECT
  :id, :shard, :email_index, :phone_index, :email_sealed, :phone_sealed, :name_sealed, :phone_mask, :password_hash, 0,
  :at, :at
FROM (SELECT 1) AS one
WHERE NOT EXISTS (SELECT 1 FROM {users}.users present WHERE present.email_index IN (:email_indexes))
ON DUPLICATE KEY UPDATE email_index = VALUES(email_index);

-- name: add_data_key
-- The customer's own key, wrapped.
INSERT INTO {users}.data_keys (user_id, wrapped, created_at)
SELECT u.id, :wrapped, :at
FROM {users}.users u
WHERE u.id = :user_id
ON DUPLICATE KEY UPDATE user_id = VALUES(user_id);

-- name: user_of_email
-- Who has this address.
SELECT id FROM {users}.users WHERE email_index IN (:email_indexes);

-- name: credentials
-- What a sign-in is checked against, and whether the account knows this device. One that its owner has removed, or whose
-- token was copied, is a stranger again.
SELECT
  u.id, u.shard, u.password_hash,
  COALESCE((
    SELECT s.end_reason NOT IN ('removed', 'token_reused')
    FROM {users}.sessions s
    WHERE s.user_id = u.id AND s.device_id = :device_id
    ORDER BY s.id DESC
    LIMIT 1
  ), 0)
FROM {users}.users u
WHERE u.email_index IN (:email_indexes);

-- name: holder_of_phone
-- Another account that holds this number, under whatever key it was indexed.
SELECT id FROM {users}.users WHERE verified_phone_index IN (:phone_indexes) AND id <> :user_id;

-- name: set_phone_verified
-- The number belongs to this account alone from now on. Repeating it changes nothing.
UPDATE {users}.users
SET
  phone_index = :phone_index, verified_phone_index = :phone_index,
  phone_verified_at = COALESCE(phone_verified_at, :at), updated_at = :at
WHERE id = :user_id;

-- name: waiting_for_phone
-- The newest account that waits for a code on this phone.
SELECT u.id
FROM {users}.users u
WHERE u.phone_index IN (:phone_indexes) AND u.phone_verified_at IS NULL
ORDER BY u.created_at DESC
LIMIT 1
FOR UPDATE;

-- name: waiting_for_email
-- The account that waits for a code on this address.
SELECT u.id FROM {users}.users u WHERE u.email_index IN (:email_indexes) AND u.email_verified_at IS NULL FOR UPDATE;

-- name: set_email_verified
-- Mail to this address reaches the customer. Repeating it changes nothing.
UPDATE {users}.users SET email_verified_at = COALESCE(email_verified_at, :at), updated_at = :at WHERE id = :user_id;

-- name: password_hash
-- What a password is checked against.
SELECT password_hash FROM {users}.users WHERE id = :user_id;

-- name: set_password_hash
-- The same password under newer parameters, or a new one.
UPDATE {users}.users SET password_hash = :password_hash, updated_at = :at WHERE id = :user_id;

-- name: lock_user
-- Sessions and links of one customer change one after the other, and not at all once the customer was forgotten.
SELECT id FROM {users}.users WHERE id = :user_id AND erased_at IS NULL FOR UPDATE;

-- name: devices
-- Devices that are signed in.
SELECT DISTINCT device_id
FROM {users}.sessions
WHERE user_id = :user_id AND ended_at IS NULL AND expires_at > :at AND used_at > :used_after;

-- name: seen_devices
-- Whether the account knows this device, and whether it has seen any: an ended session is remembered, but one that its
-- owner has removed, or whose token was copied, makes its device a stranger again.
SELECT
  COALESCE((
    SELECT s.end_reason NOT IN ('removed', 'token_reused')
    FROM {users}.sessions s
    WHERE s.user_id = :user_id AND s.device_id = :device_id AND s.id <> :id
    ORDER BY s.id DESC
    LIMIT 1
  ), 0),
  EXISTS (SELECT 1 FROM {users}.sessions s WHERE s.user_id = :user_id AND s.id <> :id);

-- name: hold_withdrawals
-- A change that a thief would make too. A hold is never shortened.
UPDATE {users}.users
SET withdrawals_held_until = GREATEST(COALESCE(withdrawals_held_until, :held_until), :held_until), updated_at = :at
WHERE id = :user_id;

-- name: signed_in
-- Devices that are signed in, the last used first. A device has one living session.
SELECT device_id, device_name, platform, created_at, used_at, id
FROM {users}.sessions
WHERE user_id = :user_id AND ended_at IS NULL AND expires_at > :at AND used_at > :used_after
ORDER BY used_at DESC, id DESC;

-- name: remove_device
-- A device that its owner does not want signed in any more.
UPDATE {users}.sessions
SET ended_at = :at, end_reason = 'removed'
WHERE user_id = :user_id AND device_id = :device_id AND ended_at IS NULL;

-- name: end_device
-- A device that signs in again has one session, the new one.
UPDATE {users}.sessions
SET ended_at = :at, end_reason = 'signed_in_again'
WHERE user_id = :user_id AND device_id = :device_id AND id <> :id AND ended_at IS NULL;

-- name: add_session
-- A device signs in. Repeating it changes nothing.
INSERT INTO {users}.sessions (id, user_id, device_id, device_name, platform, created_at, used_at, expires_at)
VALUES (:id, :user_id, :device_id, :device_name, :platform, :at, :at, :expires_at)
ON DUPLICATE KEY UPDATE used_at = VALUES(used_at);

-- name: add_token
-- A refresh token, as its hash. Repeating it changes nothing.
INSERT INTO {users}.refresh_tokens (token_hash, session_id, created_at)
VALUES (:token_hash, :session_id, :at)
ON DUPLICATE KEY UPDATE session_id = VALUES(session_id);

-- name: token
-- A refresh token with its session, both locked.
SELECT t.session_id, t.spent_at, t.successor_sealed, s.user_id, s.device_id, s.expires_at, s.ended_at, s.used_at
FROM {users}.refresh_tokens t
JOIN {users}.sessions s ON s.id = t.session_id
WHERE t.token_hash = :token_hash
FOR UPDATE;

-- name: spent
-- Whether a token was exchanged already.
SELECT spent_at FROM {users}.refresh_tokens WHERE token_hash = :token_hash;

-- name: spend_token
-- The token was exchanged; its successor is kept sealed for a repetition within seconds.
UPDATE {users}.refresh_tokens
SET spent_at = :at, successor_sealed = :successor_sealed
WHERE token_hash = :token_hash;

-- name: use_session
-- When a session was used last.
UPDATE {users}.sessions SET used_at = :at WHERE id = :id;

-- name: end_session
-- One session ends.
UPDATE {users}.sessions SET ended_at = :at, end_reason = :reason WHERE id = :id AND ended_at IS NULL;

-- name: end_sessions
-- All sessions of a customer end.
UPDATE {users}.sessions SET ended_at = :at, end_reason = :reason WHERE user_id = :user_id AND ended_at IS NULL;

-- name: add_link_state
-- A customer left for Deriv's page. Repeating it changes nothing.
INSERT INTO {users}.deriv_link_states (state_hash, user_id, created_at, expires_at)
VALUES (:state_hash, :user_id, :at, :expires_at)
ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at);

-- name: link_state
-- An unused state, locked: it works once.
SELECT user_id
FROM {users}.deriv_link_states
WHERE state_hash = :state_hash AND used_at IS NULL AND expires_at > :at
FOR UPDATE;

-- name: use_link_state
-- The state was used.
UPDATE {users}.deriv_link_states SET used_at = :at WHERE state_hash = :state_hash;

-- name: give_back_link_state
-- Nothing came of its use.
UPDATE {users}.deriv_link_states SET used_at = NULL WHERE state_hash = :state_hash;

-- name: seed_link
-- A row to be updated below: an upsert could hit another customer's row through the second unique key.
INSERT IGNORE INTO {users}.deriv_links
  (user_id, status, loginid, currency, token_sealed, fullname_sealed, email_sealed, linked_at, updated_at)
VALUES (:user_id, 'none', '', '', '', '', '', :at, :at);

-- name: set_link
-- The customer's Deriv account.
UPDATE {users}.deriv_links
SET
  status = :status, loginid = :loginid, active_loginid = :active_loginid, currency = :currency,
  token_sealed = :token_sealed, fullname_sealed = :fullname_sealed, email_sealed = :email_sealed, linked_at = :at,
  review_id = '', updated_at = :at
WHERE user_id = :user_id;

-- name: unlink
-- The link and its token are forgotten.
UPDATE {users}.deriv_links
SET
  status = 'none', loginid = '', active_loginid = NULL, currency = '', token_sealed = '', fullname_sealed = '',
  email_sealed = '', review_id = '', updated_at = :at
WHERE user_id = :user_id;

-- name: data_key
-- A customer's wrapped key.
SELECT wrapped FROM {users}.data_keys WHERE user_id = :user_id;

-- name: link
-- The link with what opens its token.
SELECT l.status, l.loginid, l.currency, l.linked_at, l.token_sealed, l.email_sealed, k.wrapped
FROM {users}.deriv_links l
JOIN {users}.data_keys k ON k.user_id = l.user_id
WHERE l.user_id = :user_id;
