-- name: take_fence
-- A new incarnation of a ledger: only whoever owns the fence, and never the same epoch twice.
UPDATE {ledger}.fences SET epoch = epoch + 1 WHERE name = :name AND owner = :owner;

-- name: left_behind
-- Evidence that earlier incarnations have not used up; what one had in hand when it ended has one delivery more.
UPDATE {ledger}.callback_inbox
SET deliveries = deliveries + (suspicion = :in_hand),
    suspicion = LEAST(suspicion + 1, :suspect)
WHERE status = 'NEW' AND shard = :shard;

-- name: lock_fence
-- First statement of every writing transaction. A takeover waits for us here, or we for it.
SELECT
  owner, epoch, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash, outbox_seq,
  CONCAT(@@hostname, ':', @@datadir) AS server
FROM {ledger}.fences
WHERE name = :name
FOR UPDATE;

-- name: move_heads
-- The heads move with the rows, in the same transaction.
UPDATE {ledger}.fences
SET unit_seq = :unit_seq,
    chain_seq = :chain_seq,
    chain_hash = :chain_hash,
    audit_seq = :audit_seq,
    audit_hash = :audit_hash,
    outbox_seq = :outbox_seq
WHERE name = :name;

-- name: units
-- Which of these were recorded already, with what content.
SELECT unit_id, content_hash FROM {ledger}.units WHERE unit_id IN (:ids);

-- name: accounts
-- Balances and versions.
SELECT id, balance_minor, version FROM {ledger}.accounts WHERE id IN (:ids);

-- name: transactions
-- Versions and numbers of events.
SELECT id, version, event_count FROM {ledger}.transactions WHERE id IN (:ids);

-- name: postings
-- Keys of the postings of transactions, and what they resolve.
SELECT transaction_id, posting_key, phase, COALESCE(resolves, '') FROM {ledger}.postings WHERE transaction_id IN (:ids);

-- name: operations
-- States of provider operations.
SELECT id, transaction_id, state, attempts_closed, staff_approved
FROM {ledger}.provider_operations WHERE id IN (:ids);

-- name: lock_operations
-- Before an intent is withdrawn: the rail locks the same row before it makes an attempt.
SELECT id FROM {ledger}.provider_operations WHERE id IN (:ids) ORDER BY id FOR UPDATE;

-- name: attempts
-- How often a rail has tried them.
SELECT operation_id, COUNT(*) FROM {ledger}.rail_attempts WHERE operation_id IN (:ids) GROUP BY operation_id;

-- name: references
-- Who uses these ids of providers.
SELECT kind, ref, operation_id FROM {ledger}.provider_references WHERE (kind, ref) IN ({rows});

-- name: keys_of_answers
-- Idempotency keys that have an answer.
SELECT user_id, route, key_hash, unit_id FROM {ledger}.answers WHERE (user_id, route, key_hash) IN ({rows});

-- name: keys_of_transactions
-- Idempotency keys that began a transaction.
SELECT user_id, route, key_hash, id FROM {ledger}.transactions WHERE (user_id, route, key_hash) IN ({rows});

-- name: quotes
-- Quotes that a transaction has used.
SELECT quote_id, id FROM {ledger}.transactions WHERE quote_id IN (:ids);

-- name: frozen
-- Users that may not start money calls.
SELECT user_id FROM {ledger}.user_status WHERE user_id IN (:ids) AND status = 'FROZEN';

-- name: insert_units
-- Every unit, once.
INSERT INTO {ledger}.units (unit_id, created_at, shard, content_hash, seq, epoch) VALUES {rows};

-- name: insert_postings
-- The journal.
INSERT INTO {ledger}.postings
  (unit_id, created_at, posting_key, phase, id, shard, seq, prev_hash, hash, transaction_id, resolves)
VALUES {rows};

-- name: insert_ledger_entries
-- Its legs.
INSERT INTO {ledger}.ledger_entries
  (account_id, currency, posting_id, line, amount_minor, balance_after_minor, account_version)
VALUES {rows};

-- name: insert_accounts
-- An account appears with its first entry.
INSERT INTO {ledger}.accounts (id, code, currency, user_id, shard, balance_minor, version) VALUES {rows};

-- name: change_accounts
-- Balances as they stand after the batch. Not an upsert: that would need the right to update every column.
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
  id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]' NULL ON EMPTY ERROR ON ERROR,
  balance_minor BIGINT PATH '$[1]' NULL ON EMPTY ERROR ON ERROR,
  version BIGINT PATH '$[2]' NULL ON EMPTY ERROR ON ERROR
)) j
STRAIGHT_JOIN {ledger}.accounts t ON t.id = j.id
SET t.balance_minor = j.balance_minor, t.version = j.version;

-- name: insert_transactions
-- New transactions.
INSERT INTO {ledger}.transactions
  (id, user_id, type, state, status, send_currency, receive_currency, phone_mask, deriv_loginid, route, key_hash, eat_day,
   failure_code, data, created_at, updated_at, shard, version, event_count, send_minor, receive_minor, mid_rate_e6,
   spread_e6, limit_usd_minor, counts, quote_id, next_wake_at, completed_at)
VALUES {rows};

-- name: change_transactions
-- Rows that exist, as they stand after the batch. Key, quote, amounts and rate were fixed at admission. Not by way of a
-- JSON_TABLE: with a long text in it the server keeps that on disk, and takes twice as long.
UPDATE {ledger}.transactions FORCE INDEX (PRIMARY)
SET state = CASE id {state} END,
    status = CASE id {status} END,
    version = CASE id {version} END,
    event_count = CASE id {event_count} END,
    limit_usd_minor = CASE id {limit_usd_minor} END,
    counts = CASE id {counts} END,
    failure_code = CASE id {failure_code} END,
    data = CASE id {data} END,
    next_wake_at = CASE id {next_wake_at} END,
    updated_at = CASE id {updated_at} END,
    completed_at = CASE id {completed_at} END
WHERE id IN (:ids);

-- name: insert_transaction_events
-- Their history.
INSERT INTO {ledger}.transaction_events
  (transaction_id, from_state, event, to_state, data, created_at, version, seq, epoch)
VALUES {rows};

-- name: insert_provider_operations
-- Intents.
INSERT INTO {ledger}.provider_operations
  (id, transaction_id, user_id, kind, state, currency, recipient, reference, request, provider_ref, code, created_at,
   updated_at, shard, amount_minor, attempts_closed, staff_approved, sealed_request)
VALUES {rows};

-- name: change_operations
-- What became of operations. Texts that a change leaves empty stay. A debit that is over forgets its code and token.
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
  id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]' NULL ON EMPTY ERROR ON ERROR,
  state VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]' NULL ON EMPTY ERROR ON ERROR,
  provider_ref VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]' NULL ON EMPTY ERROR ON ERROR,
  code VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[3]' NULL ON EMPTY ERROR ON ERROR,
  attempts_closed INT PATH '$[4]' NULL ON EMPTY ERROR ON ERROR,
  updated_at DATETIME(6) PATH '$[5]' NULL ON EMPTY ERROR ON ERROR
)) j
STRAIGHT_JOIN {ledger}.provider_operations t ON t.id = j.id
SET t.state = j.state,
    t.provider_ref = IF(j.provider_ref = '', t.provider_ref, j.provider_ref),
    t.code = IF(j.code = '', t.code, j.code),
    t.attempts_closed = j.attempts_closed,
    t.sealed_request = IF(
      t.kind = 'DERIV_WITHDRAW' AND j.state IN ('CONFIRMED', 'REFUSED', 'WITHDRAWN'), '', t.sealed_request
    ),
    t.updated_at = j.updated_at;

-- name: insert_provider_references
-- Ids of providers, used up for ever.
INSERT INTO {ledger}.provider_references (kind, ref, operation_id, unit_id, created_at) VALUES {rows};

-- name: settle_inbox
-- Evidence that a unit has used, or put aside.
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
  id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]' NULL ON EMPTY ERROR ON ERROR,
  status VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]' NULL ON EMPTY ERROR ON ERROR,
  unit_id VARCHAR(190) CHARACTER SET ascii COLLATE ascii_bin PATH '$[2]' NULL ON EMPTY ERROR ON ERROR
)) j
STRAIGHT_JOIN {ledger}.callback_inbox t ON t.id = j.id
SET t.status = j.status, t.unit_id = j.unit_id
WHERE t.status = 'NEW';

-- name: insert_outbox
-- Events for the streams, gapless per shard.
INSERT INTO {ledger}.outbox (stream, event_id, type, user_id, body, created_at, shard, seq) VALUES {rows};

-- name: insert_audit_log
-- Who did what, chained.
INSERT INTO {audit}.audit_log (chain, unit_id, actor, action, subject, detail, at, seq, prev_hash, hash) VALUES {rows};

-- name: insert_answers
-- First answers to idempotent requests.
INSERT INTO {ledger}.answers
  (user_id, route, key_hash, fingerprint, location, content_type, transaction_id, unit_id, created_at, status, sealed_body)
VALUES {rows};

-- name: insert_review_items
-- Questions for people.
INSERT INTO {ledger}.review_items
  (id, transaction_id, operation_id, kind, reason, owner_role, evidence, due_at, opened_at, resolution, shard)
VALUES {rows};

-- name: close_reviews
-- The questions of these kinds about a transaction were answered.
UPDATE {ledger}.review_items
SET closed_at = :at, resolution = :resolution
WHERE transaction_id = :transaction_id AND kind IN (:kinds) AND closed_at IS NULL;

-- name: close_review
-- One question was answered, whether or not it is about a transaction.
UPDATE {ledger}.review_items
SET closed_at = :at, resolution = :resolution
WHERE id = :item_id AND transaction_id = :transaction_id AND closed_at IS NULL;

-- name: add_user_status
-- No row means active, so the first change begins with one.
INSERT IGNORE INTO {ledger}.user_status (user_id, shard, status, frozen_at, reason, updated_at)
VALUES (:user_id, :shard, 'ACTIVE', NULL, '', :at);

-- name: set_user_status
-- Frozen, or free again. A freeze counts from now, not from when it was decided: its unit may have waited.
UPDATE {ledger}.user_status
SET status = :status, frozen_at = IF(:status = 'FROZEN', UTC_TIMESTAMP(6), NULL), reason = :reason, updated_at = :at
WHERE user_id = :user_id;

-- name: set_outbox_cursor
-- How far the relay has come; never backwards.
UPDATE {ledger}.outbox_cursors SET seq = GREATEST(seq, :seq), updated_at = :at WHERE shard = :shard;

-- name: bury
-- A unit that the database refused alone.
INSERT INTO {ledger}.dead_letters (id, shard, kind, subject, reason, created_at)
VALUES (:id, :shard, 'unit', :unit_id, :reason, :at);

-- name: ask_about_dead
-- A person looks at it.
INSERT INTO {ledger}.review_items
  (id, transaction_id, operation_id, kind, reason, owner_role, evidence, due_at, opened_at, resolution, shard)
VALUES
  (:id, :transaction_id, '', 'unit_quarantined', :reason, 'OPS', '{}', :at + INTERVAL 4 HOUR, :at, '', :shard);
