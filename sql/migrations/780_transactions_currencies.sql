-- A row in another currency could not be read by anybody; its type says which two they are.
ALTER TABLE {ledger}.transactions ADD CONSTRAINT ck_transactions_currencies CHECK (
  (send_currency, receive_currency) IN (('KES', 'USD'), ('USD', 'KES'))
);
