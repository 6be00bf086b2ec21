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

    def begin(self) -> Sequence[tuple[str, Request, Take]]:
        """Name, request, and who takes the answer, of all questions."""
        self._witness.missing.clear()
        self._witness.site_status = "up"
        self._silent, self._left = 0, len(_QUESTIONS)
        return [(name, request, take(self._witness)) for name, request, take in _QUESTIONS]

    def lacks(self, name: str, problem: str) -> None:
        """Money moves all the same; an outcome that stays unknown for want of this waits for a person."""
        log.warning("deriv answers without", rail="deriv", call=name, problem=problem)
        self._witness.missing.add(name)

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
