-- What the runtime login may do. It owns nothing: it reads everything, adds rows, and changes named columns only.
-- Append-only tables get INSERT and nothing else. `{login}` is the account of PENPAY_DATABASE__URL.
GRANT SELECT ON {ledger}.* TO {login};
GRANT SELECT ON {audit}.* TO {login};
GRANT SELECT, INSERT, UPDATE, DELETE ON {users}.* TO {login};
GRANT INSERT ON {ledger}.units TO {login};
GRANT INSERT ON {ledger}.postings TO {login};
GRANT INSERT ON {ledger}.ledger_entries TO {login};
GRANT INSERT ON {ledger}.transaction_events TO {login};
GRANT INSERT ON {ledger}.provider_references TO {login};
GRANT INSERT ON {ledger}.quotes TO {login};
GRANT INSERT ON {ledger}.withdrawal_codes TO {login};
GRANT INSERT ON {ledger}.answers TO {login};
GRANT INSERT ON {ledger}.outbox TO {login};
GRANT INSERT ON {ledger}.dead_letters TO {login};
GRANT INSERT ON {audit}.audit_log TO {login};
GRANT UPDATE (node, owner, epoch, expires_at, state, conn_id) ON {ledger}.leases TO {login};
GRANT UPDATE (owner, epoch, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash, outbox_seq) ON {ledger}.fences TO {login};
GRANT INSERT, UPDATE (balance_minor, version) ON {ledger}.accounts TO {login};
GRANT INSERT, UPDATE (state, status, version, event_count, limit_usd_minor, counts, failure_code, data, crashes, next_wake_at, updated_at, completed_at) ON {ledger}.transactions TO {login};
GRANT INSERT, UPDATE (state, provider_ref, code, attempts_closed, sealed_request, updated_at) ON {ledger}.provider_operations TO {login};
GRANT INSERT, UPDATE (outcome, code, provider_ref, facts, sealed_body, ended_at) ON {ledger}.rail_attempts TO {login};
GRANT INSERT, UPDATE (status, deliveries, unit_id) ON {ledger}.callback_inbox TO {login};
GRANT UPDATE (seq, updated_at) ON {ledger}.outbox_cursors TO {login};
GRANT INSERT, UPDATE (closed_at, resolution) ON {ledger}.review_items TO {login};
GRANT INSERT, UPDATE (status, frozen_at, reason, updated_at) ON {ledger}.user_status TO {login};
GRANT INSERT, UPDATE (agreed_until, updated_at) ON {ledger}.reconcile_cursors TO {login};
GRANT UPDATE (seq, hash) ON {audit}.audit_heads TO {login};
