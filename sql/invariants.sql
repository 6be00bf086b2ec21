-- What must never be true of the books. Each query answers the rows that break its rule: none, always.
-- The names begin with the number of the rule in the table of money invariants, so that an alarm can be looked up.
-- `{postings}`, `{transactions}` and the like are all rows of the table, or those that are new or were touched, as
-- `penpay/invariants/questions.py` says; `{ledger}.postings` is always the whole table and must then be found by a key.
-- A STRAIGHT_JOIN keeps the server from beginning there: it takes some accounts for a few rows, and they have most.

-- name: i01_posting_unbalanced
-- Every posting sums to zero in each currency.
SELECT posting_id, currency, SUM(amount_minor) AS sum_minor
FROM {entries} e
GROUP BY posting_id, currency
HAVING SUM(amount_minor) <> 0;

-- name: i02_posting_without_two_legs
-- No posting without at least two legs; no leg of zero, which the table refuses too.
SELECT p.id, COUNT(e.line) AS legs
FROM {postings} p
LEFT JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
GROUP BY p.id
HAVING COUNT(e.line) < 2 OR SUM(e.amount_minor = 0) > 0;

-- name: i02_leg_without_posting
-- No leg without its posting.
SELECT e.posting_id, e.line
FROM {entries} e
LEFT JOIN {ledger}.postings p ON p.id = e.posting_id
WHERE p.id IS NULL;

-- name: i03_trial_balance
-- All accounts together stand at zero in each currency.
SELECT currency, SUM(balance_minor) AS sum_minor
FROM {ledger}.accounts
GROUP BY currency
HAVING SUM(balance_minor) <> 0;

-- name: i04_credited_twice
-- At most one confirmed transfer to Deriv per transaction.
SELECT transaction_id
FROM {operations} o
WHERE kind = 'DERIV_TRANSFER' AND state = 'CONFIRMED'
GROUP BY transaction_id
HAVING COUNT(*) > 1;

-- name: i05_paid_out_twice
-- At most one confirmed payout, and one confirmed Reversal, per transaction.
SELECT transaction_id, kind
FROM {operations} o
WHERE kind IN ('B2C', 'REVERSAL') AND state = 'CONFIRMED'
GROUP BY transaction_id, kind
HAVING COUNT(*) > 1;

-- name: i06_credit_without_payment
-- Dollars are sent, or may have been, only for shillings that arrived.
SELECT d.transaction_id
FROM {operations} d
LEFT JOIN {ledger}.provider_operations p
  ON p.transaction_id = d.transaction_id AND p.kind = 'STK' AND p.state = 'CONFIRMED'
WHERE d.kind = 'DERIV_TRANSFER' AND d.state IN ('SENT', 'UNKNOWN', 'CONFIRMED') AND p.id IS NULL;

-- name: i07_payout_without_debit
-- Shillings are paid out only for dollars that arrived.
SELECT d.transaction_id
FROM {operations} d
LEFT JOIN {ledger}.provider_operations p
  ON p.transaction_id = d.transaction_id AND p.kind = 'DERIV_WITHDRAW' AND p.state = 'CONFIRMED'
WHERE d.kind = 'B2C' AND d.state IN ('SENT', 'UNKNOWN', 'CONFIRMED') AND p.id IS NULL;

-- name: i08_evidence_used_twice
-- A provider's own id confirms one operation.
SELECT kind, provider_ref
FROM {ledger}.provider_operations
WHERE provider_ref <> '' AND state = 'CONFIRMED'
GROUP BY kind, provider_ref
HAVING COUNT(*) > 1;

-- name: i09_clearing_not_empty
-- A final transaction leaves nothing in a clearing account.
SELECT p.transaction_id, e.currency, SUM(e.amount_minor) AS sum_minor
FROM {transactions} t
STRAIGHT_JOIN {ledger}.postings p ON p.transaction_id = t.id
STRAIGHT_JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
STRAIGHT_JOIN {ledger}.accounts a ON a.id = e.account_id
WHERE t.state IN ('COMPLETED', 'REVERSED', 'FAILED') AND a.code IN ('deriv_out', 'deriv_in', 'b2c_out', 'refund_out')
GROUP BY p.transaction_id, e.currency
HAVING SUM(e.amount_minor) <> 0;

-- name: i10_failed_with_money
-- A failed transaction holds no money of its customer, nor in suspense.
SELECT p.transaction_id, a.code, SUM(e.amount_minor) AS sum_minor
FROM {transactions} t
STRAIGHT_JOIN {ledger}.postings p ON p.transaction_id = t.id
STRAIGHT_JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
STRAIGHT_JOIN {ledger}.accounts a ON a.id = e.account_id
WHERE t.state = 'FAILED' AND a.code IN ('customer', 'suspense')
GROUP BY p.transaction_id, a.code
HAVING SUM(e.amount_minor) <> 0;

-- name: i11_final_with_open_operation
-- Nothing of a final transaction may still be sent or turn out otherwise.
SELECT o.id, o.state
FROM {transactions} t
STRAIGHT_JOIN {ledger}.provider_operations o ON o.transaction_id = t.id
WHERE t.state IN ('COMPLETED', 'REVERSED', 'FAILED') AND o.state IN ('INTENT', 'SENT', 'UNKNOWN');

-- name: i12_nobody_wakes
-- Every open transaction has a time to wake, or waits for a person. A question beside it does not make it wait.
SELECT t.id, t.state
FROM {transactions} t
WHERE t.state NOT IN ('COMPLETED', 'REVERSED', 'FAILED')
  AND t.next_wake_at IS NULL
  AND NOT EXISTS (
    SELECT 1
    FROM {ledger}.review_items r
    WHERE r.transaction_id = t.id AND r.closed_at IS NULL AND r.kind IN ({holding})
  );

-- name: i12_woken_late
-- No open transaction that waits for nobody was to wake long ago.
SELECT t.id, t.state, t.next_wake_at
FROM {overdue} t
WHERE t.state NOT IN ('COMPLETED', 'REVERSED', 'FAILED')
  AND t.next_wake_at < UTC_TIMESTAMP(6) - INTERVAL 60 SECOND
  AND NOT EXISTS (
    SELECT 1
    FROM {ledger}.review_items r
    WHERE r.transaction_id = t.id AND r.closed_at IS NULL AND r.kind IN ({holding})
  );

-- name: i13_unknown_for_hours
-- An unknown outcome is found out within four hours, or its transaction waits for a person, or people were asked. The
-- kinds are all there are: the index begins with them.
SELECT o.id, o.updated_at
FROM {ledger}.provider_operations o
WHERE o.kind IN ({kinds})
  AND o.state = 'UNKNOWN'
  AND o.updated_at < UTC_TIMESTAMP(6) - INTERVAL 4 HOUR
  AND NOT EXISTS (
    SELECT 1
    FROM {ledger}.review_items r
    WHERE r.transaction_id = o.transaction_id
      AND ((r.kind IN ({watched}) AND r.operation_id = o.id) OR (r.kind IN ({holding}) AND r.closed_at IS NULL))
  );

-- name: i14_illegal_step
-- Only steps of the state machine were taken.
SELECT e.transaction_id, e.seq, e.from_state, e.to_state
FROM {events} e
STRAIGHT_JOIN {ledger}.transactions t ON t.id = e.transaction_id
LEFT JOIN {ledger}.allowed_edges a
  ON a.type = t.type AND a.from_state = e.from_state AND a.to_state = e.to_state
WHERE a.to_state IS NULL;

-- name: i15_history_broken
-- Events have no gaps, versions rise by at most one, states join, and no epoch writes behind a later one.
SELECT transaction_id, seq
FROM (
  SELECT
    transaction_id, seq, version, epoch, from_state,
    COALESCE(LAG(seq) OVER w, 0) AS seq_before,
    COALESCE(LAG(version) OVER w, 1) AS version_before,
    COALESCE(LAG(epoch) OVER w, 0) AS epoch_before,
    LAG(to_state) OVER w AS state_before
  FROM {events} e
  WINDOW w AS (PARTITION BY transaction_id ORDER BY seq)
) steps
WHERE seq <> seq_before + 1
  OR version NOT IN (version_before, version_before + 1)
  OR epoch < epoch_before
  OR (state_before IS NOT NULL AND from_state <> state_before);

-- name: i15_row_differs_from_history
-- The row stands where its last event went.
SELECT t.id, t.state, t.version, t.event_count
FROM {transactions} t
LEFT JOIN {ledger}.transaction_events e ON e.transaction_id = t.id AND e.seq = t.event_count
WHERE e.seq IS NULL OR e.to_state <> t.state OR e.version <> t.version;

-- name: i16_key_used_twice
-- One transaction per user, route and key.
SELECT user_id, route, key_hash
FROM {ledger}.transactions
GROUP BY user_id, route, key_hash
HAVING COUNT(*) > 1;

-- name: i17_evidence_waits
-- What arrived is consumed or put aside within half a minute.
SELECT id, kind, received_at
FROM {ledger}.callback_inbox
WHERE status = 'NEW' AND received_at < UTC_TIMESTAMP(6) - INTERVAL 30 SECOND;

-- name: i18_booked_otherwise_than_done
-- What was booked as paid, credited or given back is the amount of the confirmed operation.
SELECT o.id, o.kind, o.amount_minor, SUM(e.amount_minor) AS booked_minor
FROM {operations} o
STRAIGHT_JOIN {ledger}.postings p
  ON p.transaction_id = o.transaction_id
  AND p.posting_key = CASE o.kind WHEN 'STK' THEN 'paid' WHEN 'DERIV_TRANSFER' THEN 'done' WHEN 'REVERSAL' THEN 'refund_done' END
STRAIGHT_JOIN {ledger}.ledger_entries e ON e.posting_id = p.id
STRAIGHT_JOIN {ledger}.accounts a
  ON a.id = e.account_id
  AND a.code = CASE o.kind WHEN 'STK' THEN 'mpesa_paybill' WHEN 'DERIV_TRANSFER' THEN 'deriv_agent' WHEN 'REVERSAL' THEN 'mpesa_paybill' END
WHERE o.state = 'CONFIRMED'
GROUP BY o.id, o.kind, o.amount_minor
HAVING ABS(SUM(e.amount_minor)) <> o.amount_minor;

-- name: i19_daily_limit
-- Deposits that count stay within the day's limit, but for those that came back to life with late money.
SELECT t.user_id, t.eat_day, t.type
FROM (SELECT DISTINCT n.user_id, n.eat_day FROM {transactions} n) d
STRAIGHT_JOIN {ledger}.transactions t ON t.user_id = d.user_id AND t.eat_day = d.eat_day
WHERE t.counts = 1
  AND NOT EXISTS (
    SELECT 1 FROM {ledger}.transaction_events e WHERE e.transaction_id = t.id AND e.from_state = 'FAILED'
  )
GROUP BY t.user_id, t.eat_day, t.type
HAVING SUM(CASE WHEN t.receive_currency = 'USD' THEN t.receive_minor ELSE t.send_minor END) > MAX(t.limit_usd_minor);

-- name: i20_wrong_side
-- No account on the wrong side. Assets are judged over all shards: the money is one heap. One that was opened without
-- its provider's balance stands wherever payments leave it, until that is told.
SELECT code, currency, SUM(balance_minor) AS sum_minor
FROM {ledger}.accounts
WHERE user_id = '' AND code IN ('mpesa_paybill', 'mpesa_utility', 'deriv_agent')
GROUP BY code, currency
HAVING SUM(balance_minor) < 0 AND (
  NOT EXISTS (SELECT 1 FROM {ledger}.units u WHERE u.unit_id = CONCAT('opening:', code, ':untold'))
  OR EXISTS (SELECT 1 FROM {ledger}.units u WHERE u.unit_id = CONCAT('opening:', code))
)
UNION ALL
SELECT id, currency, balance_minor
FROM {accounts} a
WHERE (code IN ('deriv_in', 'mpesa_fees', 'write_off') AND balance_minor < 0)
  OR (
    code IN ('customer', 'suspense', 'mpesa_charges', 'deriv_out', 'b2c_out', 'refund_out', 'fx_spread', 'rounding')
    AND balance_minor > 0
  );

-- name: i21_balance_differs
-- A balance is the sum of its entries, a version their number.
SELECT a.id, a.balance_minor, a.version
FROM {ledger}.accounts a
LEFT JOIN (
  SELECT account_id, SUM(amount_minor) AS sum_minor, COUNT(*) AS legs
  FROM {ledger}.ledger_entries
  GROUP BY account_id
) e ON e.account_id = a.id
WHERE a.balance_minor <> COALESCE(e.sum_minor, 0) OR a.version <> COALESCE(e.legs, 0);

-- name: i21_account_differs
-- An account stands where its newest entry left it.
SELECT a.id, a.balance_minor, a.version
FROM {accounts} a
LEFT JOIN {ledger}.ledger_entries e ON e.account_id = a.id AND e.account_version = a.version
WHERE e.posting_id IS NULL OR e.balance_after_minor <> a.balance_minor;

-- name: i21_entry_differs
-- Every entry carries the balance that its predecessor and its amount give.
SELECT e.account_id, e.account_version
FROM {entries} e
LEFT JOIN {ledger}.ledger_entries b ON b.account_id = e.account_id AND b.account_version = e.account_version - 1
WHERE (b.posting_id IS NULL AND e.account_version <> 1)
  OR e.balance_after_minor <> COALESCE(b.balance_after_minor, 0) + e.amount_minor;

-- name: i22_chain_broken
-- Each posting follows the one before it in its shard. The hashes themselves are recomputed by `audit verify`.
SELECT p.shard, p.seq
FROM {postings} p
LEFT JOIN {ledger}.postings b ON b.id = p.id - 1
WHERE (b.id IS NULL AND p.seq <> 1) OR b.hash <> p.prev_hash;

-- name: i22_audit_chain_broken
-- Each audit record follows the one before it in its chain.
SELECT l.chain, l.seq
FROM {records} l
LEFT JOIN {audit}.audit_log b ON b.chain = l.chain AND b.seq = l.seq - 1
WHERE (b.seq IS NULL AND l.seq <> 1) OR b.hash <> l.prev_hash;

-- name: i22_head_differs
-- A shard's heads are the newest rows of its chains.
SELECT f.name
FROM {ledger}.fences f
LEFT JOIN (SELECT shard, MAX(seq) AS seq FROM {ledger}.postings GROUP BY shard) p
  ON f.name = CONCAT('shard/', p.shard)
LEFT JOIN (SELECT chain, MAX(seq) AS seq FROM {audit}.audit_log GROUP BY chain) l ON l.chain = f.name
LEFT JOIN (SELECT shard, MAX(seq) AS seq FROM {ledger}.outbox GROUP BY shard) o
  ON f.name = CONCAT('shard/', o.shard)
LEFT JOIN (SELECT shard, MAX(seq) AS seq, COUNT(*) AS units FROM {ledger}.units GROUP BY shard) u
  ON f.name = CONCAT('shard/', u.shard)
WHERE f.chain_seq <> COALESCE(p.seq, 0)
  OR f.audit_seq <> COALESCE(l.seq, 0)
  OR f.outbox_seq <> COALESCE(o.seq, 0)
  OR f.unit_seq <> COALESCE(u.seq, 0)
  OR f.unit_seq <> COALESCE(u.units, 0);

-- name: i26_posting_without_unit
-- Every posting came with a unit of work.
SELECT p.id
FROM {postings} p
LEFT JOIN {ledger}.units u ON u.unit_id = p.unit_id
WHERE u.unit_id IS NULL;

-- name: i26_money_without_audit
-- Every posting of a transaction has an audit record of the same unit.
SELECT p.id
FROM {postings} p
LEFT JOIN (SELECT DISTINCT r.unit_id FROM {records} r) l ON l.unit_id = p.unit_id
WHERE p.transaction_id IS NOT NULL AND l.unit_id IS NULL;

-- name: i27_hold_not_resolved
-- A pending posting of a final transaction was posted or voided.
SELECT h.id
FROM {transactions} t
STRAIGHT_JOIN {ledger}.postings h ON h.transaction_id = t.id AND h.phase = 'pending'
LEFT JOIN {ledger}.postings r ON r.transaction_id = t.id AND r.resolves = h.posting_key
WHERE t.state IN ('COMPLETED', 'REVERSED', 'FAILED') AND r.id IS NULL;

-- name: i28_rate_not_honoured
-- A deposit's amounts are those of its locked rate: dollars down to a cent, or shillings up to a whole one.
SELECT id
FROM {transactions} t
WHERE type = 'DEPOSIT'
  AND receive_minor <> send_minor * 1000000 DIV (mid_rate_e6 + spread_e6)
  AND send_minor <> (receive_minor * (mid_rate_e6 + spread_e6) + 99999999) DIV 100000000 * 100;

-- name: i29_outbox_stuck
-- The relay is not more than a minute behind: the next event that it has to send is not older.
SELECT o.shard, o.seq
FROM {ledger}.outbox_cursors c
STRAIGHT_JOIN {ledger}.outbox o ON o.shard = c.shard AND o.seq = c.seq + 1
WHERE o.created_at < UTC_TIMESTAMP(6) - INTERVAL 60 SECOND;

-- name: i30_call_after_freeze
-- No attempt after the user was frozen, but by a decision of two people. The second is for clocks that differ.
SELECT a.operation_id, a.attempt
FROM {ledger}.user_status s
JOIN {ledger}.provider_operations o ON o.user_id = s.user_id AND o.staff_approved = 0
JOIN {ledger}.rail_attempts a ON a.operation_id = o.id
WHERE s.status = 'FROZEN' AND a.sent_at > s.frozen_at + INTERVAL 1 SECOND;

-- name: i31_phone_in_clear
-- No whole phone number in a column that anybody may read. Digits or letters at its sides make it a part of something
-- longer: Safaricom's CheckoutRequestID holds time, serial and the payer's digits, and is theirs. Behind four hexadecimal
-- digits and a hyphen it is the tail of a UUID, one of which in a million looks like a phone.
SELECT 'transactions' AS found_in, id FROM {transactions} t WHERE data REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])'
UNION ALL
SELECT 'transaction_events', transaction_id FROM {events} e WHERE data REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])'
UNION ALL
SELECT 'provider_operations', id
FROM {operations} o
WHERE recipient REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])' OR request REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])';

-- name: i31_phone_told_in_clear
-- Nor in what is told to the streams and to the record of who did what.
SELECT 'outbox' AS found_in, event_id FROM {messages} m WHERE body REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])'
UNION ALL
SELECT 'audit_log', CONCAT(chain, '/', seq) FROM {records} l WHERE detail REGEXP '(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])';

-- name: a01_attempts_have_gaps
-- The attempts of an operation are numbered without gaps, and the shard closed none that was not made.
SELECT o.id
FROM {operations} o
LEFT JOIN {ledger}.rail_attempts a ON a.operation_id = o.id
GROUP BY o.id, o.attempts_closed
HAVING COUNT(a.attempt) <> COALESCE(MAX(a.attempt), 0) OR o.attempts_closed > COALESCE(MAX(a.attempt), 0);

-- name: a02_withdrawn_but_sent
-- What was withdrawn was never sent, or its attempts are known to have done nothing.
SELECT o.id
FROM {operations} o
STRAIGHT_JOIN {ledger}.rail_attempts a ON a.operation_id = o.id AND a.attempt > o.attempts_closed
WHERE o.state = 'WITHDRAWN';
