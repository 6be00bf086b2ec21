-- name: reserved_payouts
-- Shillings that are promised and not yet paid: payouts without an end, and what debits on their way will ask for.
SELECT COALESCE(SUM(promised.kes_minor), 0)
FROM (
  SELECT p.amount_minor AS kes_minor
  FROM {ledger}.provider_operations p
  WHERE p.kind = 'B2C' AND p.state IN ('INTENT', 'SENT', 'UNKNOWN')
  UNION ALL
  SELECT t.receive_minor
  FROM {ledger}.provider_operations d
  JOIN {ledger}.transactions t ON t.id = d.transaction_id
  WHERE d.kind = 'DERIV_WITHDRAW' AND d.state IN ('INTENT', 'SENT', 'UNKNOWN')
) promised;

-- name: booked_since
-- From when on the books speak of a provider's account: its opening balance, or else the installation itself.
SELECT COALESCE(
  (SELECT u.created_at FROM {ledger}.units u WHERE u.unit_id = :unit_id),
  (SELECT i.created_at FROM {ledger}.installation i)
);
