-- name: told
-- What M-Pesa said about the payouts of a transaction and was not looked at for a name yet, with the registered name.
SELECT c.id, c.operation_id, c.sealed_body, c.received_at, u.id, u.shard, u.name_sealed, k.wrapped
FROM {ledger}.provider_operations o
JOIN {ledger}.callback_inbox c
  ON c.operation_id = o.id AND c.kind IN ('b2c', 'txstatus') AND c.status = 'CONSUMED' AND c.trusted_source = 1
JOIN {users}.users u ON u.id = o.user_id
JOIN {users}.data_keys k ON k.user_id = u.id
LEFT JOIN {users}.name_matches m ON m.id = c.id
WHERE o.transaction_id = :transaction_id AND o.kind = 'B2C' AND m.id IS NULL
ORDER BY c.received_at, c.id;

-- name: newest
-- How like the last name was that M-Pesa told.
SELECT score FROM {users}.name_matches WHERE user_id = :user_id AND rail = 'mpesa' ORDER BY seen_at DESC, id DESC LIMIT 1;

-- name: both_names
-- What staff must compare.
SELECT u.id, u.name_sealed, m.name_sealed, k.wrapped
FROM {users}.name_matches m
JOIN {users}.users u ON u.id = m.user_id
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE m.id = :id AND m.rail = 'mpesa';
