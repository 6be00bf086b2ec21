-- name: add_key
-- The installation's own data key, drawn by whichever node starts first.
INSERT INTO {users}.data_keys (user_id, wrapped, created_at)
VALUES (:user_id, :wrapped, :at)
ON DUPLICATE KEY UPDATE user_id = VALUES(user_id);

-- name: key
-- One wrapped key.
SELECT wrapped FROM {users}.data_keys WHERE user_id = :user_id;

-- name: outdated
-- Keys that are not wrapped under the field key in use, in the order of their index. Those that are begin with `header`,
-- and stand between it and `behind`.
SELECT user_id, wrapped
FROM {users}.data_keys
WHERE wrapped > :after AND (wrapped < :header OR wrapped >= :behind)
ORDER BY wrapped
LIMIT :limit;

-- name: rewrap
-- The same keys under the field key in use. One that was forgotten or wrapped anew meanwhile stays as it is.
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
  user_id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]' NULL ON EMPTY ERROR ON ERROR,
  former VARCHAR(510) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]' NULL ON EMPTY ERROR ON ERROR,
  wrapped VARCHAR(510) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]' NULL ON EMPTY ERROR ON ERROR
)) j
STRAIGHT_JOIN {users}.data_keys k ON k.user_id = j.user_id
SET k.wrapped = UNHEX(j.wrapped)
WHERE k.wrapped = UNHEX(j.former);
