-- name: add_match
-- A name that a rail told. Repeating it changes nothing.
INSERT INTO {users}.name_matches (id, user_id, rail, reference, score, matched, name_sealed, seen_at)
VALUES (:id, :user_id, :rail, :reference, :score, :matched, :name_sealed, :at)
ON DUPLICATE KEY UPDATE user_id = VALUES(user_id);

-- name: reach_tier
-- Phone and Deriv account are proven to be the customer's: the first tier. A higher one is kept.
UPDATE {users}.users u
SET
  u.kyc_tier = GREATEST(
    u.kyc_tier,
    u.phone_verified_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM {users}.deriv_links l WHERE l.user_id = u.id AND l.active_loginid IS NOT NULL)
  ),
  u.updated_at = :at
WHERE u.id = :user_id;

-- name: set_tier
-- What staff decided.
UPDATE {users}.users SET kyc_tier = :tier, updated_at = :at WHERE id = :user_id AND erased_at IS NULL;

-- name: snapshot
-- What is known now, as the next version. The customer's row is locked by the statement before.
INSERT INTO {users}.kyc_snapshots
  (user_id, version, tier, reason, actor, reference, phone_verified, deriv_linked, name_score, mpesa_score,
   created_at)
SELECT
  u.id,
  (SELECT COALESCE(MAX(k.version), 0) + 1 FROM {users}.kyc_snapshots k WHERE k.user_id = u.id),
  u.kyc_tier, :reason, :actor, :reference, u.phone_verified_at IS NOT NULL,
  EXISTS (SELECT 1 FROM {users}.deriv_links l WHERE l.user_id = u.id AND l.active_loginid IS NOT NULL),
  (SELECT m.score FROM {users}.name_matches m WHERE m.user_id = u.id AND m.rail = 'deriv' ORDER BY m.id DESC LIMIT 1),
  (SELECT m.score FROM {users}.name_matches m WHERE m.user_id = u.id AND m.rail = 'mpesa'
   ORDER BY m.seen_at DESC, m.id DESC LIMIT 1),
  :at
FROM {users}.users u
WHERE u.id = :user_id;

-- name: snapshots
-- How a customer's tier came about, the first version first.
SELECT version, tier, reason, created_at FROM {users}.kyc_snapshots WHERE user_id = :user_id ORDER BY version;

-- name: unasked
-- Links in another name whose question does not stand before staff yet.
SELECT l.user_id, u.shard, l.review_id, l.linked_at,
  COALESCE((SELECT m.score FROM {users}.name_matches m WHERE m.user_id = l.user_id AND m.rail = 'deriv' ORDER BY m.id DESC LIMIT 1), 0)
FROM {users}.deriv_links l
JOIN {users}.users u ON u.id = l.user_id
LEFT JOIN {ledger}.review_items r ON r.id = l.review_id
WHERE l.status = 'name_mismatch' AND r.id IS NULL
ORDER BY l.user_id
LIMIT :limit;

-- name: name_question
-- The question gets its id before it is put, so that it is put once.
UPDATE {users}.deriv_links
SET review_id = :review_id
WHERE user_id = :user_id AND status = 'name_mismatch' AND review_id = '';

-- name: question
-- The id that a question has, whoever gave it.
SELECT review_id FROM {users}.deriv_links WHERE user_id = :user_id AND status = 'name_mismatch';

-- name: answered_by_time
-- Open questions about links that are not there any more: the customer linked anew, or not at all.
SELECT r.id, r.shard
FROM {ledger}.review_items r
LEFT JOIN {users}.deriv_links l ON l.review_id = r.id AND l.status = 'name_mismatch'
WHERE r.closed_at IS NULL AND r.kind = 'name_mismatch' AND l.user_id IS NULL
LIMIT :limit;

-- name: lock_link
-- The link that a question is about.
SELECT l.user_id, l.status, l.loginid FROM {users}.deriv_links l WHERE l.review_id = :review_id FOR UPDATE;

-- name: approve_link
-- Two people are sure that both names are one person's.
UPDATE {users}.deriv_links
SET status = 'active', active_loginid = loginid, updated_at = :at
WHERE user_id = :user_id AND status = 'name_mismatch';

-- name: refuse_link
-- The link and its token are forgotten.
UPDATE {users}.deriv_links
SET
  status = 'none', loginid = '', active_loginid = NULL, currency = '', token_sealed = '', fullname_sealed = '',
  email_sealed = '', review_id = '', updated_at = :at
WHERE user_id = :user_id AND status = 'name_mismatch';

-- name: both_names
-- What staff must compare.
SELECT u.id, u.name_sealed, l.fullname_sealed, k.wrapped
FROM {users}.deriv_links l
JOIN {users}.users u ON u.id = l.user_id
JOIN {users}.data_keys k ON k.user_id = u.id
WHERE l.review_id = :review_id AND l.status = 'name_mismatch';
