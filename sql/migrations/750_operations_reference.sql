-- Safaricom's list is read every minute, and payments in it name our pushes by their reference.
CREATE INDEX ix_operations_reference ON {ledger}.provider_operations (reference);
