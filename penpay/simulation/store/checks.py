"""The CHECK constraints of the schema, by table and under their names there, as conditions on a stored row."""

from collections.abc import Mapping

from penpay.simulation.store.tables import Check

_CREDIT = {"customer", "suspense", "mpesa_charges", "deriv_out", "b2c_out", "refund_out", "fx_spread", "rounding"}
_DEBIT = {"deriv_in", "mpesa_fees", "write_off"}
_KINDS = {"STK", "DERIV_TRANSFER", "REVERSAL", "DERIV_WITHDRAW", "B2C", "DERIV_RETURN"}
_STATES = {"INTENT", "SENT", "UNKNOWN", "CONFIRMED", "REFUSED", "WITHDRAWN"}
_OUTCOMES = {"", "CONFIRMED", "REFUSED", "UNKNOWN", "NOT_SENT"}
_RESOLVING = {"post", "void"}
_BIG = 1 << 48

CHECKS: Mapping[str, tuple[Check, ...]] = {
    "accounts": (
        ("ck_accounts_currency", lambda row: row.currency in {"KES", "USD"}),
        ("ck_accounts_owner", lambda row: (row.code == "customer") == (row.user_id != "")),
        ("ck_accounts_version", lambda row: row.version > 0),
        ("ck_accounts_credit_side", lambda row: row.balance_minor <= 0 or row.code not in _CREDIT),
        ("ck_accounts_debit_side", lambda row: row.balance_minor >= 0 or row.code not in _DEBIT),
    ),
    "postings": (
        ("ck_postings_id", lambda row: row.id == row.shard * _BIG + row.seq),
        ("ck_postings_phase", lambda row: row.phase in _RESOLVING or row.phase in {"posted", "pending"}),
        ("ck_postings_resolves", lambda row: (row.resolves != "") == (row.phase in _RESOLVING)),
    ),
    "ledger_entries": (
        ("ck_entries_not_zero", lambda row: row.amount_minor != 0),
        ("ck_entries_version", lambda row: row.account_version > 0),
    ),
    "transactions": (
        ("ck_transactions_type", lambda stored: stored.row.type in {"DEPOSIT", "WITHDRAWAL"}),
        ("ck_transactions_version", lambda stored: 0 < stored.row.version <= stored.event_count),
        ("ck_transactions_amounts", lambda stored: stored.row.send.minor > 0 and stored.row.receive.minor > 0),
        ("ck_transactions_rate", lambda stored: stored.row.mid_rate_e6 > stored.row.spread_e6 >= 0),
        ("ck_transactions_currencies", lambda stored: stored.row.send.currency != stored.row.receive.currency),
    ),
    "provider_operations": (
        ("ck_operations_kind", lambda row: row.kind in _KINDS),
        ("ck_operations_state", lambda row: row.state in _STATES),
        ("ck_operations_amount", lambda row: row.amount.minor > 0),
        ("ck_operations_attempts", lambda row: row.attempts_closed >= 0),
    ),
    "rail_attempts": (
        ("ck_attempts_number", lambda row: row.attempt > 0),
        ("ck_attempts_outcome", lambda row: row.outcome in _OUTCOMES),
        ("ck_attempts_ended", lambda row: (row.outcome == "") == (row.ended_at is None)),
    ),
    "callback_inbox": (
        ("ck_inbox_shard", lambda stored: 0 <= stored.row.shard <= 0xFFFF),
        ("ck_inbox_status", lambda stored: stored.status in {"NEW", "CONSUMED", "QUARANTINED"}),
    ),
    "quotes": (
        ("ck_quotes_direction", lambda stored: stored.quote.direction in {"DEPOSIT", "WITHDRAWAL"}),
        ("ck_quotes_rate", lambda stored: stored.quote.mid_rate_e6 > stored.quote.spread_e6 >= 0),
    ),
    "answers": (("ck_answers_status", lambda row: 200 <= row.status <= 499),),
    "user_status": (
        ("ck_user_status_status", lambda row: row.status in {"ACTIVE", "FROZEN"}),
        ("ck_user_status_frozen", lambda row: (row.status == "FROZEN") == (row.frozen_at is not None)),
    ),
    "withdrawal_codes": (("ck_withdrawal_codes_amount", lambda row: row.amount_minor > 0),),
    "leases": (("ck_leases_state", lambda row: row.state in {"FREE", "OWNED"}),),
    "fences": (
        ("ck_fences_epoch", lambda row: row.epoch >= 0),
        ("ck_fences_seqs", lambda row: min(row.unit_seq, row.chain_seq, row.audit_seq, row.outbox_seq) >= 0),
    ),
}
