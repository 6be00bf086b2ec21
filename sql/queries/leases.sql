-- name: claim_node
-- One process per node name: the lock ends with its session.
SELECT GET_LOCK(:lock, 0);

-- name: holds_claim
-- Whether this session still has it.
SELECT COALESCE(IS_USED_LOCK(:lock) = CONNECTION_ID(), 0);

-- name: others
-- Nodes that hold anything at this moment, by database time, beside this one.
SELECT DISTINCT node
FROM {ledger}.leases
WHERE state = 'OWNED' AND node <> :node AND expires_at > UTC_TIMESTAMP(6);

-- name: lock_leases
-- All of them, in one order: takers meet at the first row, and a renewal sees what was taken before it.
SELECT name, owner, node, state, expires_at <= UTC_TIMESTAMP(6) AS expired
FROM {ledger}.leases
ORDER BY name
FOR UPDATE;

-- name: lock_lease
-- One, before it is extended.
SELECT name FROM {ledger}.leases WHERE name = :name FOR UPDATE;

-- name: fence_epoch
-- The newest epoch: incarnations of a ledger raise it too, so it may be ahead of the lease's.
SELECT epoch FROM {ledger}.fences WHERE name = :name FOR UPDATE;

-- name: take_lease
-- The lease changes hands.
UPDATE {ledger}.leases
SET owner = :owner, node = :node, epoch = :epoch, state = 'OWNED', conn_id = CONNECTION_ID(),
    expires_at = UTC_TIMESTAMP(6) + INTERVAL :lease_ms * 1000 MICROSECOND
WHERE name = :name;

-- name: take_fence
-- The fence follows in the same transaction: the earlier owner can write nothing from here on.
UPDATE {ledger}.fences SET owner = :owner, epoch = :epoch WHERE name = :name;

-- name: renew
-- After it expired, as long as nobody else took it.
UPDATE {ledger}.leases
SET expires_at = UTC_TIMESTAMP(6) + INTERVAL :lease_ms * 1000 MICROSECOND
WHERE name = :name AND owner = :owner AND epoch = :epoch AND state = 'OWNED';

-- name: release
-- Given back: anybody may take it at once.
UPDATE {ledger}.leases
SET state = 'FREE', expires_at = UTC_TIMESTAMP(6)
WHERE name = :name AND owner = :owner AND epoch = :epoch;

-- name: leave
-- Everything given back, behind lock_leases: a take whose COMMIT is on its way is waited for.
UPDATE {ledger}.leases
SET state = 'FREE', expires_at = UTC_TIMESTAMP(6)
WHERE owner = :owner AND state = 'OWNED';
