-- name: lock_pin
-- The PIN with its count, locked: tries of one customer are counted one after the other, on whatever node.
SELECT pin_hash, pin_failures, pin_locked_until, withdrawals_held_until
FROM {users}.users
WHERE id = :user_id
FOR UPDATE;

-- name: count_try
-- One try more, before anybody looks whether it is right.
UPDATE {users}.users
SET pin_failures = :failures, pin_locked_until = :locked_until, updated_at = :at
WHERE id = :user_id;

-- name: forget_tries
-- The PIN was right. One that was set meanwhile has a count of its own.
UPDATE {users}.users
SET pin_failures = 0, pin_locked_until = NULL, updated_at = :at
WHERE id = :user_id AND pin_hash = :pin_hash;

-- name: give_back
-- A try that was not made. If others were counted since, it stays counted.
UPDATE {users}.users
SET pin_failures = pin_failures - 1, pin_locked_until = NULL, updated_at = :at
WHERE id = :user_id AND pin_hash = :pin_hash AND pin_failures = :failures AND pin_failures > 0;

-- name: set_pin
-- A new PIN with a clean count, where none is locked. A change holds withdrawals, the first PIN and a repetition of this statement do not;
-- assignments are made from left to right, so the hold is decided by what was there before.
UPDATE {users}.users
SET
  withdrawals_held_until = IF(
    pin_hash IN ('', :pin_hash),
    withdrawals_held_until,
    GREATEST(COALESCE(withdrawals_held_until, :held_until), :held_until)
  ),
  pin_hash = :pin_hash, pin_failures = 0, pin_locked_until = NULL, updated_at = :at
WHERE id = :user_id;
