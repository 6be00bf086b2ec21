"""The agent's account as its own socket shows it: who is at the other end, how much there is, how far it has moved."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from penpay.domain import deriv_protocol as deriv
from penpay.domain.board import Board, FloatSnapshot
from penpay.domain.deriv_protocol import Frame, Identity
from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, Money
from penpay.domain.statement import StatementRow, Watermark
from penpay.ports import Clock

log = structlog.get_logger("penpay.rails")

FLOAT = "deriv_agent"
_MOVEMENTS_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who must be at the other end: a token that speaks for anyone else is not used."""

    loginid: str
    token: str = field(repr=False)
    currency: Currency = Currency.USD

    def objection(self, told: Identity) -> str:
        """Why nothing may be sent with this token, or an empty string."""
        if told.loginid != self.loginid:
            return "the agent's token belongs to another account"
        if told.currency != self.currency:
            return "the agent's account has another currency"
        if told.is_virtual:
            return "the agent's account is virtual"
        if deriv.AUTHORIZE_PAYMENTS not in told.scopes:
            return "the agent's token may not pay"
        return ""


class AgentWitness:
    """What the agent's socket has seen; the Deriv actors of one node share it. Learned anew on every socket.

    The `on_…` methods take frames and raise `BadInput` for unreadable ones.
    """

    def __init__(self, agent: Agent, board: Board, clock: Clock) -> None:
        self._agent = agent
        self._board = board
        self._clock = clock
        self._told: tuple[datetime, float] | None = None
        """Deriv's time as last told, and our monotonic seconds then."""
        self.transaction_id = 0
        """Highest movement of the account that was seen."""
        self.balance_after = Money(0, agent.currency)
        """The balance after that very movement."""
        self.balance = Money(0, agent.currency)
        """The balance as last told."""
        self.site_status = "up"
        """As last told on this socket; until it says otherwise, the site is up."""
        self._streamed: OrderedDict[int, StatementRow] = OrderedDict()
        self.ready = False
        """Authorized, verified and subscribed: money calls are taken."""
        self.missing: set[str] = set()
        """Calls that this socket does not answer; what they would prove is not known."""
        self.asked_again: set[str] = set()
        """Those of them that were only refused for now."""

    @property
    def currency(self) -> Currency:
        """Of the agent's account."""
        return self._agent.currency

    @property
    def loginid(self) -> str:
        """The agent's."""
        return self._agent.loginid

    @property
    def streamed(self) -> tuple[StatementRow, ...]:
        """The newest movements as the stream told them: at once, and without any text."""
        return tuple(self._streamed.values())

    def watermark(self) -> Watermark | None:
        """The account as of now, for an attempt's row; None when nobody can say where it stands."""
        if not self.transaction_id and self.missing & {"statement", "balance"}:
            return None
        balance = self.balance_after if self.transaction_id else self.balance
        return Watermark(transaction_id=self.transaction_id, balance=balance, server_time_at=self.server_now())

    def begin(self) -> None:
        """A new socket: nothing is known to be missing, and as long as it says nothing else the site is up."""
        self.missing.clear()
        self.asked_again.clear()
        self.site_status = "up"

    def lacks(self, call: str, *, for_now: bool) -> None:
        """The balance of an earlier socket must not vouch for a statement that lags."""
        self.missing.add(call)
        (self.asked_again.add if for_now else self.asked_again.discard)(call)
        if call == "balance":
            self.balance = Money(0, self._agent.currency)

    def has(self, call: str) -> None:
        """It was answered, at once or in the end."""
        self.missing.discard(call)
        self.asked_again.discard(call)

    def never_tells(self, call: str) -> bool:
        """Whether there is no use in asking."""
        return call in self.missing and call not in self.asked_again

    def server_now(self) -> datetime:
        """Deriv's time: as last told, and what has passed since by a clock that nobody sets."""
        if self._told is None:
            return self._clock.now()
        told_at, at_s = self._told
        return told_at + timedelta(seconds=self._clock.monotonic_s() - at_s)

    def told_now(self) -> datetime | None:
        """The same; None while its first word is awaited: a clock of ours may have been set since an attempt left.

        Where it was asked for in vain ours has to do: nobody waits for a call that is not indispensable.
        """
        return None if self._told is None and "time" not in self.missing else self.server_now()

    def on_identity(self, frame: Frame) -> None:
        """Answer of `authorize`: raises `BadInput`, its `field` says why, when it is not the agent."""
        objection = self._agent.objection(deriv.identity(frame))
        if objection:
            raise BadInput(objection, "identity")

    def on_time(self, frame: Frame) -> None:
        """Deriv's clock."""
        self._told = deriv.told_time(frame), self._clock.monotonic_s()

    def on_transaction(self, frame: Frame) -> None:
        """A movement of the account, or the stream's empty first answer."""
        movement = deriv.account_transaction(frame)
        if movement is not None:
            self._saw(movement.id, movement.balance_after)
            self._streamed[movement.id] = StatementRow(
                id=movement.id,
                at=movement.at,
                action=movement.action,
                amount=movement.amount,
                balance_after=movement.balance_after,
            )
            if len(self._streamed) > _MOVEMENTS_KEPT:
                self._streamed.popitem(last=False)

    def on_statement(self, frame: Frame) -> None:
        """The newest rows: where the account stands when a socket opens."""
        for row in deriv.statement_rows(frame, self.currency, self.loginid):
            self._saw(row.id, row.balance_after)

    def on_balance(self, frame: Frame) -> None:
        """The balance changed; admission reads it from the board."""
        loginid, balance = deriv.balance(frame)
        if loginid != self._agent.loginid:
            raise BadInput("balance", "another account's")
        self.balance = balance
        before = self._board.floats.get(FLOAT)
        reserved_minor = before.reserved_minor if before else 0
        self._board.floats[FLOAT] = FloatSnapshot(self.balance.minor, reserved_minor, self._clock.now())

    def on_site_status(self, frame: Frame) -> None:
        """What the site is, if the message says so. A word that we do not know must not close the rail for good."""
        told = deriv.site_status(frame)
        if told in deriv.SITE_STATUSES:
            self.site_status = told
        elif told:
            log.warning("deriv tells an unknown site status", rail="deriv", status=told[:40])

    def _saw(self, transaction_id: int, balance_after: Money) -> None:
        if transaction_id > self.transaction_id:
            self.transaction_id, self.balance_after = transaction_id, balance_after
