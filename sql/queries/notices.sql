-- name: add
-- Something that its owner must hear. Repeating it changes nothing.
INSERT INTO {users}.notices (id, user_id, kind, created_at, due_at)
VALUES (:id, :user_id, :kind, :at, :at)
ON DUPLICATE KEY UPDATE user_id = VALUES(user_id);

-- name: due
-- What is to be sent now, the oldest first. What another node is sending is passed over.
SELECT id
FROM {users}.notices
WHERE ended_at IS NULL AND due_at <= :at
ORDER BY due_at
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- name: claim
-- A try begins. Without an end of its own it is due again later, each time twice as late, at most an hour.
UPDATE {users}.notices
SET tries = tries + 1, due_at = TIMESTAMPADD(SECOND, LEAST(3600, :retry_s * POW(2, tries - 1)), :at)
WHERE id IN (:ids);

-- name: claimed
-- What is sent to whom.
SELECT n.id, n.user_id, n.kind, n.created_at, n.tries, IF(n.phone_sealed = '', u.phone_sealed, n.phone_sealed), k.wrapped
FROM {users}.notices n
JOIN {users}.users u ON u.id = n.user_id
JOIN {users}.data_keys k ON k.user_id = n.user_id
WHERE n.id IN (:ids)
ORDER BY n.id;

-- name: end
-- It was sent, refused or given up.
UPDATE {users}.notices SET ended_at = :at, outcome = :outcome WHERE id = :id AND ended_at IS NULL;

-- name: of_user
-- What a customer was told, the newest first.
SELECT kind, created_at
FROM {users}.notices
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT :limit;
