"""What the agent's socket is asked once it is authorized. Each answer only brings evidence: a missing one stops nobody.

Source: decisions.md part 4. Only `authorize` and the transfer itself are indispensable.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog

from actors.deriv_agent import AgentWitness
from penpay.domain import deriv_protocol as deriv
from penpay.domain.deriv_protocol import Frame, Request

log = structlog.get_logger("penpay.rails")

_STEPS_MAX = 16
Take = Callable[[Frame], None]
_QUESTIONS: Sequence[tuple[str, Request, Callable[[AgentWitness], Take]]] = (
    ("transaction", deriv.transaction_stream(), lambda witness: witness.on_transaction),
    ("website_status", deriv.site_status_stream(), lambda witness: witness.on_site_status),
    ("balance", deriv.balance_stream(), lambda witness: witness.on_balance),
    ("time", deriv.server_time(), lambda witness: witness.on_time),
    ("statement", deriv.statement(since=None, offset=0, limit=1), lambda witness: witness.on_statement),
)


class Verdict(StrEnum):
    """How far the greeting is."""

    WAITING = "waiting"
    DONE = "done"
    DOUBTFUL = "doubtful"
    """Nothing at all was answered: a sign of life must tell whether these calls are unknown or the socket is dead."""


class Greeting:
    """One socket after the other; remembers across sockets who kept silent."""

    def __init__(self, witness: AgentWitness) -> None:
        self._witness = witness
        self._unheard: set[str] = set()
        self._silent = 0
        self._left = 0
        self._tries = 0

    def begin(self) -> Sequence[tuple[str, Request, Take]]:
        """Name, request, and who takes the answer, of all questions."""
        self._witness.begin()
        self._silent, self._left, self._tries = 0, len(_QUESTIONS), 0
        return [(name, request, take(self._witness)) for name, request, take in _QUESTIONS]

    def lacks(self, name: str, problem: str, *, for_now: bool = False) -> None:
        """Money moves all the same; an outcome that stays unknown for want of this waits for a person."""
        log.warning("deriv answers without", rail="deriv", call=name, problem=problem)
        self._witness.lacks(name, for_now=for_now)

    def again(self) -> Sequence[tuple[str, Request, Take]]:
        """Those of the questions that were refused for now."""
        again = set(self._witness.asked_again)
        if "transaction" in again and not self._witness.never_tells("statement"):
            # What moves before the stream begins stands in the statement only.
            again.add("statement")
        return [(name, request, take(self._witness)) for name, request, take in _QUESTIONS if name in again]

    def patience_s(self, first_s: float, longest_s: float) -> float:
        """How long to wait before they are asked: longer each time, for asking too often may be why."""
        self._tries += 1
        return min(longest_s, first_s * (1 << min(self._tries - 1, _STEPS_MAX)))

    def is_silent(self, name: str, unanswered: set[str]) -> bool:
        """Whether to go on without: only on the second socket in a row, for a slow moment passes."""
        before = name in self._unheard
        self._unheard |= unanswered
        if before:
            self._silent += 1
            self.lacks(name, "no answer")
        return before

    def step(self) -> Verdict:
        """One more question is over."""
        self._left -= 1
        if self._left > 0:
            return Verdict.WAITING
        if self._silent == len(_QUESTIONS):
            self._silent = 0
            return Verdict.DOUBTFUL
        return Verdict.DONE
