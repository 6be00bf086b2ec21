-- name: heads
-- How far every chain is; the numbers of a shard are of one commit.
SELECT name, chain_seq, audit_seq, outbox_seq FROM {ledger}.fences WHERE name LIKE 'shard/%'
UNION ALL
SELECT chain, 0, seq, 0 FROM {audit}.audit_heads WHERE chain = 'sys';

-- name: touched
-- Whom new records and postings are about, and whose question was answered. Names in braces: `penpay/invariants/questions.py`.
SELECT r.subject FROM {records} r WHERE r.chain <> 'sys'
UNION
SELECT p.transaction_id FROM {postings} p WHERE p.transaction_id IS NOT NULL
UNION
SELECT i.transaction_id FROM {ledger}.review_items i WHERE i.closed_at > UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE;

-- name: newest_transaction
-- Where a round over all of them ends.
SELECT id FROM {ledger}.transactions ORDER BY id DESC LIMIT 1;

-- name: transactions_behind
-- A page of them, the oldest first.
SELECT id FROM {ledger}.transactions WHERE id > :after AND id <= :newest ORDER BY id LIMIT :limit;
