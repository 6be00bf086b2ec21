"""Ablations: each safeguard of production, and the composition without it. Seeds must fail then, or nobody needs it.

Parts are replaced for as long as a world runs, in this process only. Production code knows nothing of it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from actors import daraja_pollers, deposit_evidence, deriv_resolver, ledger_plan, ledger_rules, withdrawal_evidence
from actors.daraja_payouts import Payouts
from actors.deriv_agent import AgentWitness
from actors.deriv_equals import Equals
from actors.inbox import InboxActor
from actors.ledger_commits import Commits
from actors.payment_watch import PaymentWatch
from actors.rail_lease import LeaseHolder
from actors.rail_sender import RailSender
from actors.user import UserActor
from config.tuning import TimingSettings
from penpay.domain import credits as credits_
from penpay.domain import (
    deposit,
    deposit_events,
    deposit_rules,
    statement,
    withdrawal,
    withdrawal_events,
    withdrawal_rules,
)
from penpay.domain.draft import Draft
from penpay.simulation import without
from penpay.simulation.store import attempts, ledger_batch
from penpay.simulation.store.attempts import MemoryAttemptStore
from penpay.simulation.store.inbox import MemoryInboxStore
from penpay.simulation.store.ledger import MemoryLedgerTransaction
from penpay.simulation.store.sagas import MemorySagaStore
from penpay.simulation.twists import Twists

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Safeguard:
    """What it is for, and how a world is made without it."""

    purpose: str
    faults: tuple[str, ...]
    """What it is made for: every world without it knows these, besides its own."""
    twists: Twists


def _parts(*changes: tuple[Any, Any, Any]) -> Twists:
    """Replace attributes of modules and classes, or entries of tables, while a world runs."""

    @contextmanager
    def replaced() -> Iterator[None]:
        before = [(owner, name, _get(owner, name)) for owner, name, _ in changes]
        for owner, name, part in changes:
            _put(owner, name, part)
        try:
            yield
        finally:
            for owner, name, part in reversed(before):
                _put(owner, name, part)

    made: Callable[[], AbstractContextManager[None]] = replaced
    return Twists(parts=made)


def _edges(table: Mapping[Any, Mapping[Any, Any]], event: type, target: Any) -> list[tuple[Any, Any, Any]]:
    """The table of transitions with one more way out of every state that takes the event."""
    return [(table, state, {**row, event: (*row[event], target)}) for state, row in table.items() if event in row]


def _get(owner: Any, name: Any) -> Any:
    return owner.get(name, _MISSING) if isinstance(owner, Mapping) else getattr(owner, name)


def _put(owner: Any, name: Any, part: Any) -> None:
    if not isinstance(owner, dict):
        setattr(owner, name, part)
    elif part is _MISSING:
        del owner[name]
    else:
        owner[name] = part


SAFEGUARDS: Mapping[str, Safeguard] = {
    "unit_replay": Safeguard(
        "a unit that was recorded is answered again, not recorded again",
        ("database.commit_lost_after",),
        _parts((ledger_plan.Plan, "add", without.add_unseen), (Commits, "_replays", without.no_replays)),
    ),
    "commit_unknown": Safeguard(
        "after a COMMIT without an answer the rows are read again",
        ("database.commit_lost_before", "database.commit_lost_after"),
        _parts((MemoryLedgerTransaction, "commit", without.commit_believed)),
    ),
    "fence": Safeguard(
        "a ledger writes under its own epoch only",
        ("node.twin", "node.pause", "node.pause_at_point"),
        _parts((Commits, "_still_valid", without.whoever_owns)),
    ),
    "references_unique": Safeguard(
        "a provider's own id is used once",
        ("deriv.silent_executed", "deriv.drops_executed", "deriv.hides_reference", "customer.same_amount"),
        _parts(
            (ledger_rules, "_references", without.nothing),
            (ledger_batch, "_references", without.nothing),
            (MemoryAttemptStore, "used_references", without.none_used),
        ),
    ),
    "frozen_users": Safeguard(
        "a frozen customer gets no new intent",
        ("customer.is_frozen",),
        _parts(
            (ledger_rules, "_freeze", without.nothing),
            (attempts._Wish, "_judged", without.judged_unfrozen),  # noqa: SLF001
        ),
    ),
    "daily_limit": Safeguard(
        "a day's deposits stay below the limit, however many there are at once",
        ("customer.spends_much",),
        _parts((UserActor, "_standing", without.nothing_spent)),
    ),
    "one_withdrawal": Safeguard(
        "one withdrawal of a customer at a time",
        ("deriv.silent", "status.lags"),
        _parts((UserActor, "_standing", without.nothing_open)),
    ),
    "inbox_dedupe": Safeguard(
        "the same body is one piece of evidence",
        ("callback.twice",),
        _parts((MemoryInboxStore, "add", without.add_each)),
    ),
    "inbox_sweep": Safeguard(
        "evidence that no bell rang for is found",
        ("node.twin", "callback.before_answer"),
        _parts((InboxActor, "_sweep", without.no_sweep)),
    ),
    "wake_ups": Safeguard(
        "a row whose time has come wakes its saga",
        ("callback.lost",),
        _parts((MemorySagaStore, "due", without.never)),
    ),
    "foreign_callbacks": Safeguard(
        "a callback from nowhere credits only what a query confirms",
        ("callback.forged", "payer.ignores"),
        _parts((deposit_evidence, "_stk", without.stk_trusted)),
    ),
    "paid_amount": Safeguard(
        "another amount than asked is looked at",
        ("payer.pays_another_amount",),
        _parts((deposit_rules.HANDLERS, deposit_events.MpesaPaid, without.claims_are_paid)),
    ),
    "asked_payer": Safeguard(
        "a payment that a callback or the list shows of another phone is looked at",
        ("payer.is_somebody_else", "callback.lost"),
        _parts((deposit_evidence, "may_be_of", lambda *_: True)),
    ),
    "grace": Safeguard(
        "a query fails no push before the grace is over, and not alone",
        ("query.premature_failure", "callback.lost", "payer.pays_late"),
        _parts((deposit_rules.HANDLERS, deposit_events.MpesaRefused, without.believe_one_query)),
    ),
    "clean_list": Safeguard(
        "a push without an answer fails only behind a clean list",
        ("daraja.lost_answer", "callback.lost"),
        _parts(
            (deposit_rules.HANDLERS, deposit_events.Woke, without.fail_without_list),
            *_edges(deposit.TRANSITIONS, deposit_events.Woke, deposit.State.FAILED),
        ),
    ),
    "payment_watch": Safeguard(
        "the list of payments is watched for those that nobody asks about any more",
        ("callback.contradicts", "payer.pays_late", "callback.lost"),
        _parts((PaymentWatch, "look", without.look_nowhere)),
    ),
    "list_margin": Safeguard(
        "the list of payments is asked from well before the push: clocks differ",
        (
            *("daraja.clock_is_wrong", "daraja.lost_answer", "callback.lost", "query.pending"),
            # Where all is well the watch over the same list finds the payment before its push may fail.
            *("daraja.not_connected", "daraja.rate_limited", "node.pause", "node.crash"),
        ),
        _parts((daraja_pollers, "_PULL_MARGIN", timedelta(0))),
    ),
    "late_success": Safeguard(
        "money that arrives reopens what had failed",
        ("payer.pays_late", "callback.contradicts"),
        _parts((deposit.TRANSITIONS, deposit.State.FAILED, {})),
    ),
    "no_blind_transfer": Safeguard(
        "a transfer without an answer is not sent again",
        ("deriv.silent_executed", "deriv.drops_executed"),
        _parts((deposit_evidence, "_transfer_end", without.transfer_resent)),
    ),
    "no_blind_debit": Safeguard(
        "a debit without an answer is not sent again",
        ("deriv.silent_executed", "deriv.drops_executed"),
        _parts((withdrawal_evidence, "_debit_end", without.debit_resent)),
    ),
    "settle_window": Safeguard(
        "absence counts only behind the settle window and two reads",
        ("deriv.executes_late", "deriv.statement_lags"),
        Twists(tree=without.unsettled),
    ),
    "their_clock": Safeguard(
        "a settle window is measured by Deriv's clock, not by one of ours that may be set",
        ("node.clock_jumps", "deriv.executes_late", "deriv.statement_lags"),
        _parts((AgentWitness, "server_now", without.our_clock), (deriv_resolver, "sent_at", without.by_our_row)),
    ),
    "balances_join": Safeguard(
        "absence counts only where balances join without a gap",
        ("deriv.drops_executed", "deriv.executes_late", "deriv.statement_stands_still"),
        _parts((statement, "_absence", without.always_clean)),
    ),
    "moved_amount": Safeguard(
        "a credit of another amount is no debit's witness, and pays nothing out",
        ("deriv.moves_another_amount",),
        _parts(
            (credits_, "_fits", without.fits_whatever_amount),
            (withdrawal_rules.HANDLERS, withdrawal_events.WitnessSeen, without.witness_believed),
        ),
    ),
    "one_open_equal": Safeguard(
        "no two equal transfers are open at once",
        ("deriv.silent_executed", "deriv.drops_unread", "deriv.hides_reference", "customer.same_amount"),
        _parts((Equals, "blocks", lambda _self, _submit: False)),
    ),
    "same_payout_id": Safeguard(
        "the same payout goes out under the same id",
        ("daraja.lost_answer",),
        _parts((Payouts, "pay", without.new_payout_id(Payouts.pay))),
    ),
    "refusal_on_retry": Safeguard(
        "a refusal of a retry proves nothing about the first try",
        ("payout.refused_on_retry", "daraja.lost_answer"),
        _parts(
            (withdrawal_rules.HANDLERS, withdrawal_events.PayoutHeld, without.refused_is_refused),
            *_edges(withdrawal.TRANSITIONS, withdrawal_events.PayoutHeld, withdrawal.State.RETURN_SENDING),
        ),
    ),
    "doubted_payout": Safeguard(
        "a payout that may have been taken keeps its dollars held when people are asked",
        ("actor.breaks_too_often", "daraja.lost_answer", "callback.lost", "staff.resolves"),
        _parts((Draft, "_withdraw", without.withdrawn_anyhow)),
    ),
    "second_evidence": Safeguard(
        "dollars go back only after a second piece of evidence",
        ("payout.lies",),
        _parts(
            (withdrawal_rules.HANDLERS, withdrawal_events.PayoutFailed, without.first_word_counts),
            *_edges(withdrawal.TRANSITIONS, withdrawal_events.PayoutFailed, withdrawal.State.RETURN_SENDING),
        ),
    ),
    "attempt_rows": Safeguard(
        "an attempt is a row before its first byte",
        ("node.crash", "deriv.silent_executed"),
        _parts((MemoryAttemptStore, "begin", without.begin_unwritten)),
    ),
    "attempts_closed": Safeguard(
        "an attempt is made only when the one before is known to have done nothing",
        ("node.crash", "deriv.silent_executed", "daraja.lost_answer", "database.slow"),
        _parts((attempts._Wish, "_judged", without.judged_by_state)),  # noqa: SLF001
    ),
    "abandoned_attempts": Safeguard(
        "attempts of dead rails are given an end",
        ("node.crash", "node.crash_at_point"),
        _parts((RailSender, "_end_abandoned", without.end_nobody)),
    ),
    "call_in_time": Safeguard(
        "a call leaves soon after its row, and only while its owner's lease stands",
        ("node.pause_before_call",),
        _parts(
            (LeaseHolder, "current", without.ever_current),
            (TimingSettings, "first_byte_s", property(without.any_time)),
        ),
    ),
    "mailboxes": Safeguard(
        "what waits for an actor survives its restart",
        ("actor.breaks_with_mail",),
        Twists(tree=without.no_mailboxes),
    ),
}
