-- name: put
-- A code of a customer for one purpose, if there is such a customer and the former code is old enough. The same statement
-- runs for nobody. Assignments are made from left to right: `resend_at` decides about all of them, so it comes last.
INSERT INTO {users}.sent_codes
  (user_id, purpose, target_index, code_hash, attempts, resend_at, expires_at, updated_at)
SELECT u.id, :purpose, :target_index, :code_hash, 0, :resend_at, :expires_at, :at
FROM {users}.users u
WHERE u.id = :user_id
ON DUPLICATE KEY UPDATE
  target_index = IF(sent_codes.resend_at > :at, sent_codes.target_index, VALUES(target_index)),
  code_hash = IF(sent_codes.resend_at > :at, sent_codes.code_hash, VALUES(code_hash)),
  attempts = IF(sent_codes.resend_at > :at, sent_codes.attempts, 0),
  expires_at = IF(sent_codes.resend_at > :at, sent_codes.expires_at, VALUES(expires_at)),
  updated_at = IF(sent_codes.resend_at > :at, sent_codes.updated_at, :at),
  resend_at = IF(sent_codes.resend_at > :at, sent_codes.resend_at, VALUES(resend_at));

-- name: stands
-- Whether it is this very code that counts now.
SELECT 1
FROM {users}.sent_codes
WHERE user_id = :user_id AND purpose = :purpose AND code_hash = :code_hash;

-- name: of_customer
-- A customer's code that may still be used. Locked: wrong tries are counted one by one.
SELECT c.user_id, c.code_hash
FROM {users}.sent_codes c
WHERE c.user_id = :user_id AND c.purpose = :purpose AND c.expires_at > :at AND c.attempts < :attempts_max
FOR UPDATE;

-- name: of_target
-- Codes that went to one place and may still be used, the newest first. Locked like a customer's own.
SELECT c.user_id, c.code_hash
FROM {users}.sent_codes c
WHERE c.target_index IN (:target_indexes) AND c.purpose = :purpose AND c.expires_at > :at AND c.attempts < :attempts_max
ORDER BY c.updated_at DESC
LIMIT :limit
FOR UPDATE;

-- name: count_attempt
-- A wrong try counts for everyone whom the code could have been for. It runs for nobody too.
UPDATE {users}.sent_codes SET attempts = attempts + 1 WHERE user_id IN (:user_ids) AND purpose = :purpose;

-- name: use_up
-- The code was right, and works no second time.
UPDATE {users}.sent_codes
SET attempts = :attempts_max, updated_at = :at
WHERE user_id = :user_id AND purpose = :purpose;
