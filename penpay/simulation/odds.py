"""Which faults a seed knows, how often each strikes, and how often it did. Swarm: most seeds know only some of them."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

FAULTS: Mapping[str, float] = {
    # --- the way to Safaricom
    "daraja.not_connected": 0.3,
    "daraja.lost_request": 0.3,
    "daraja.lost_answer": 0.4,
    "daraja.late_request": 0.3,
    "daraja.rate_limited": 0.3,
    "daraja.slow": 0.5,
    "daraja.wrong_credentials": 0.1,
    # --- pushes and payers
    "stk.busy_phone": 0.2,
    "payer.cancels": 0.4,
    "payer.ignores": 0.4,
    "payer.pays_late": 0.4,
    "payer.pays_another_amount": 0.3,
    "payer.is_somebody_else": 0.3,
    "query.premature_failure": 0.6,
    "query.pending": 0.5,
    "pull.lags": 0.5,
    # --- what Safaricom posts
    "callback.lost": 0.4,
    "callback.twice": 0.4,
    "callback.delayed": 0.5,
    "callback.before_answer": 0.5,
    "callback.forged": 0.4,
    "callback.foreign_address": 0.3,
    "callback.contradicts": 0.4,
    "callback.without_receipt": 0.3,
    # --- payouts and Reversals
    "payout.fails_for_good": 0.5,
    "payout.fails_for_now": 0.4,
    "payout.fails_unclear": 0.3,
    "payout.lies": 0.4,
    "payout.queue_timeout": 0.5,
    "payout.refused_on_retry": 0.5,
    "payout.stops": 0.2,
    "status.lags": 0.5,
    "reversal.refused": 0.3,
    # --- Deriv
    "deriv.not_connected": 0.3,
    "deriv.drops_unread": 0.4,
    "deriv.drops_executed": 0.4,
    "deriv.silent": 0.3,
    "deriv.silent_executed": 0.4,
    "deriv.late_reply": 0.4,
    "deriv.executes_late": 0.4,
    "deriv.replies_twice": 0.4,
    "deriv.garbage": 0.2,
    "deriv.refuses": 0.3,
    "deriv.refuses_after_silence": 0.3,
    "deriv.rate_limit": 0.3,
    "deriv.agent_short": 0.3,
    "deriv.updating": 0.2,
    "deriv.cuts_socket": 0.2,
    "deriv.hides_reference": 0.5,
    "deriv.statement_lags": 0.5,
    # --- the database
    "database.slow": 0.4,
    "database.deadlock": 0.15,
    "database.lock_timeout": 0.1,
    "database.lost": 0.15,
    "database.commit_lost_before": 0.2,
    "database.commit_lost_after": 0.3,
    "database.away": 0.15,
    "database.restart": 0.5,
    # --- the machines
    "node.crash": 0.5,
    "node.crash_at_point": 0.05,
    "node.pause": 0.5,
    "node.pause_at_point": 0.03,
    "node.twin": 0.6,
    # --- single actors
    "actor.breaks": 0.6,
    # --- everything else
    "fx.away": 0.3,
    "fx.absurd": 0.3,
    "streams.away": 0.3,
    "streams.flushed": 0.3,
    # --- people
    "customer.double_click": 0.5,
    "customer.second_key": 0.4,
    "customer.cancels": 0.4,
    "customer.wrong_code": 0.3,
    "customer.same_amount": 0.5,
    "customer.is_frozen": 0.4,
    "staff.resolves": 0.7,
    # --- later ones
    "actor.breaks_with_mail": 0.5,
    "node.clock_is_wrong": 0.7,
    "node.clock_jumps": 0.7,
    "daraja.clock_is_wrong": 0.7,
    "deriv.moves_another_amount": 0.2,
    "customer.spends_much": 0.7,
    # --- the latest
    "node.pause_before_call": 0.3,
    "deriv.statement_stands_still": 0.3,
    "actor.breaks_too_often": 0.5,
    "deriv.credits_late": 0.25,
    "deriv.executes_after_all": 0.3,
    "deriv.pays_another": 0.2,
    "reversal.refused_untold": 0.5,
    "reversal.unheard": 0.4,
}
"""Kind → how often it strikes where it can, at full intensity."""
LATER = frozenset(
    {
        "actor.breaks_with_mail",
        "customer.spends_much",
        "daraja.clock_is_wrong",
        "deriv.moves_another_amount",
        "node.clock_is_wrong",
        "node.clock_jumps",
    }
)
"""Kinds that came when seeds were known by their numbers: dice of their own leave those of all others as they were."""
LATEST = frozenset(
    {
        "actor.breaks_too_often",
        "deriv.credits_late",
        "deriv.executes_after_all",
        "deriv.pays_another",
        "deriv.statement_stands_still",
        "node.pause_before_call",
        "reversal.refused_untold",
        "reversal.unheard",
    }
)
"""Kinds that came after those: each has dice of its own, and the next one will move none of them either."""
_INTENSITIES = (0.2, 0.5, 1.0)
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8)
"""Share of the kinds that a seed knows."""
SHARE_LATER = 0.25
"""Of the seeds, for each of the later and latest kinds."""
_THEMES = (0, 0, 0, 1, 1, 1, 2, 2, 3)
"""In how many rooms of the world everything goes wrong at once."""


class Odds:
    """Dice over the faults. `calm`: the world has healed, nothing strikes any more."""

    def __init__(
        self,
        dice: random.Random,
        later: random.Random,
        own: Callable[[str], random.Random],
        *,
        only: Iterable[str] | None = None,
        also: Iterable[str] = (),
        always: Iterable[str] = (),
    ) -> None:
        self._dice = dice
        self._later = later
        self._own = {kind: own(kind) for kind in FAULTS if kind in LATEST}
        self.calm = False
        self.reached: Counter[str] = Counter()
        drawn = {**_drawn(dice), **_drawn_later(later), **_drawn_alone(self._own)} if only is None else {}
        wanted = {*(only or ()), *also}
        self.known: Mapping[str, float] = {
            **drawn,
            **{kind: FAULTS[kind] for kind in FAULTS if kind in wanted},
            **dict.fromkeys(always, 1.0),
        }

    def knows(self, kind: str) -> bool:
        """Whether this seed may meet it at all."""
        return kind in self.known

    def hits(self, kind: str, *, often: float = 1.0, heals: bool = True) -> bool:
        """Whether it strikes now. `often` makes it rarer where it could strike very often.

        Not `heals`: also when all else has healed. Most of what people begin happens then.
        """
        chance = self.known.get(kind)
        if chance is None or (self.calm and heals):
            return False
        dice = self._own.get(kind) or (self._later if kind in LATER else self._dice)
        if dice.random() >= chance * often:
            return False
        self.reached[kind] += 1
        return True

    def saw(self, what: str) -> None:
        """Count something that happened, and that no dice decided."""
        self.reached[what] += 1


def _drawn(dice: random.Random) -> Mapping[str, float]:
    """What a seed knows: some of everything, and all of a few rooms."""
    rooms = sorted({kind.partition(".")[0] for kind in FAULTS})
    themes = dice.sample(rooms, dice.choice(_THEMES))
    share = dice.choice(_SHARES)
    known = {}
    for kind, chance in FAULTS.items():
        if kind in LATER | LATEST:
            continue
        met, intensity = dice.random() < share, dice.choice(_INTENSITIES)
        if kind.partition(".")[0] in themes:
            known[kind] = chance
        elif met:
            known[kind] = chance * intensity
    return known


def _drawn_later(dice: random.Random) -> Mapping[str, float]:
    """Each of the later kinds by itself."""
    return {
        kind: chance * dice.choice(_INTENSITIES)
        for kind, chance in FAULTS.items()
        if kind in LATER and dice.random() < SHARE_LATER
    }


def _drawn_alone(own: Mapping[str, random.Random]) -> Mapping[str, float]:
    """Each of the latest kinds by its own dice."""
    return {kind: FAULTS[kind] * dice.choice(_INTENSITIES) for kind, dice in own.items() if dice.random() < SHARE_LATER}
