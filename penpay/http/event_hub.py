"""Live events for the signed-in customers of this node. A missed event is read again from SQL by its place."""

import asyncio
from dataclasses import dataclass, field

from config.limits import BALANCES_FOLLOWED_MAX, EVENT_QUEUE_MAX, EVENT_STREAMS_MAX, EVENT_STREAMS_PER_USER
from penpay.domain.json_text import json_bytes
from penpay.domain.presentation import time_text
from penpay.messages_rails import DerivBalance

NO_PLACE = -1
"""A live event without a place in the outbox: nobody can ask for it again, and the next one tells the same or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """One outbox event as it came from the streams. `body` is JSON text."""

    shard: int
    seq: int
    type: str
    user_id: str
    body: str


def balance_event(user_id: str, seen: DerivBalance) -> LiveEvent:
    """A customer's Deriv balance."""
    body = {"deriv": {**seen.balance.wire(), "as_of": time_text(seen.as_of_at), "live": seen.live}}
    text = json_bytes(body).decode()
    return LiveEvent(shard=0, seq=NO_PLACE, type="balance.updated", user_id=user_id, body=text)


@dataclass(slots=True, eq=False)
class Subscription:
    """One open stream. `lagged`: it was too slow and lost events; its reader must read them from SQL.

    None in the queue only wakes the reader, to see that the stream `ended` or is `doubted`.
    """

    user_id: str
    queue: asyncio.Queue[LiveEvent | None] = field(default_factory=lambda: asyncio.Queue(EVENT_QUEUE_MAX))
    lagged: bool = False
    ended: bool = False
    doubted: bool = False
    """Somebody changed this customer's sessions or standing: the reader looks before it goes on."""

    def end(self) -> None:
        """The stream is over: its reader sees it now."""
        self.ended = True
        self.wake()

    def wake(self) -> None:
        """A full queue wakes its reader anyway."""
        if not self.queue.full():
            self.queue.put_nowait(None)


class EventHub:
    """Hands each event to its user's open streams. Fed by the stream reader, or by the outbox relay itself."""

    def __init__(
        self,
        *,
        streams_max: int = EVENT_STREAMS_MAX,
        per_user: int = EVENT_STREAMS_PER_USER,
        followed_max: int = BALANCES_FOLLOWED_MAX,
    ) -> None:
        self._by_user: dict[str, set[Subscription]] = {}
        self._followed: set[str] = set()
        self._streams_max = streams_max
        self._per_user = per_user
        self._followed_max = followed_max
        self.streams = 0

    def subscribe(self, user_id: str) -> Subscription | None:
        """Open a stream; None when this user or this node has too many."""
        mine = self._by_user.get(user_id, set())
        if self.streams >= self._streams_max or len(mine) >= self._per_user:
            return None
        subscription = Subscription(user_id)
        mine.add(subscription)
        self._by_user[user_id] = mine
        self.streams += 1
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Close a stream; repeating it changes nothing."""
        mine = self._by_user.get(subscription.user_id, set())
        if subscription in mine:
            mine.remove(subscription)
            self.streams -= 1
        if not mine:
            self._by_user.pop(subscription.user_id, None)
            self._followed.discard(subscription.user_id)

    def follows_balance(self, subscription: Subscription) -> bool:
        """Whether this stream may keep its customer's Deriv session open. So many customers may, who came first."""
        if len(self._followed) < self._followed_max and subscription.user_id in self._by_user:
            self._followed.add(subscription.user_id)
        return subscription.user_id in self._followed

    def end_all(self) -> None:
        """The listener closes: every stream ends now. New ones may be opened later."""
        for subscription in [one for mine in self._by_user.values() for one in mine]:
            subscription.end()

    def ring(self, user_id: str) -> None:
        """The customer's streams look now whether they may go on. `penpay.ports.SessionBell` for this node."""
        for subscription in self._by_user.get(user_id, ()):
            subscription.doubted = True
            subscription.wake()

    def publish(self, event: LiveEvent) -> None:
        """Never waits: a full stream is marked and catches up by itself."""
        for subscription in self._by_user.get(event.user_id, ()):
            try:
                subscription.queue.put_nowait(event)
            except asyncio.QueueFull:
                subscription.lagged = True
