-- name: indexed
-- Customers with what they are found by, and what that is made of. Who was forgotten is found by nothing.
SELECT u.id, u.email_index, u.phone_index, u.email_sealed, u.phone_sealed, k.wrapped
FROM {users}.users u
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE u.id > :after AND u.erased_at IS NULL
ORDER BY u.id
LIMIT :limit;

-- name: reindex
-- The same customer, found under the key in use. A row that changed meanwhile is left to the next look.
UPDATE {users}.users
SET
  email_index = :email_index, phone_index = :phone_index,
  verified_phone_index = IF(verified_phone_index IS NULL, NULL, :phone_index)
WHERE id = :id AND email_index = :former_email AND phone_index = :former_phone;
