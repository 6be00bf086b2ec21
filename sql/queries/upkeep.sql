-- name: unrecorded
-- Beginnings and ends of sessions that do not stand in the chain yet. What another node writes is passed over.
SELECT id, user_id, platform, created_at, ended_at, end_reason, recorded
FROM {users}.sessions
WHERE recorded = 0 OR (recorded = 1 AND ended_at IS NOT NULL)
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- name: record
-- They stand there now.
UPDATE {users}.sessions SET recorded = IF(ended_at IS NULL, 1, 2) WHERE id IN (:ids);

-- name: old_tokens
-- Refresh tokens whose session cannot live any more, so that nobody could be told that one came back.
DELETE FROM {users}.refresh_tokens WHERE created_at < :before ORDER BY created_at LIMIT :limit;

-- name: old_states
-- Ways to Deriv that nobody came back from.
DELETE FROM {users}.deriv_link_states WHERE expires_at < :before LIMIT :limit;

-- name: old_notices
-- Messages that were sent long ago.
DELETE FROM {users}.notices WHERE ended_at < :before LIMIT :limit;
