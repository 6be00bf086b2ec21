"""What the console shows, as JSON: an overview, open questions with what their answers would do, one transaction.

Reads only, behind the operators' token. What is decided goes to the desk for reviews, with two names.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from config.limits import PAGE_DEFAULT
from penpay.domain.board import Board
from penpay.domain.decision import Occasion
from penpay.domain.errors import Unavailable
from penpay.domain.ids import is_ulid
from penpay.domain.overview import LATE_MAX, NOTHING_KNOWN, Check, Unfinished, render_board
from penpay.domain.presentation import time_text
from penpay.domain.review_view import Subject, preview, previews
from penpay.domain.rules import Rules
from penpay.domain.story import KnownReference, Story
from penpay.domain.timeline import Deadlines
from penpay.http.readiness import Readiness, told
from penpay.http.replies import Stop, json_response, query_of
from penpay.http.reviews import decision_of
from penpay.http.schemas_staff import ReviewsQuery
from penpay.ports import Clock, Ids

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{3,64}", re.ASCII)
FRESH_S = 1.0
"""However many consoles are open, the database is asked for an overview once in this time."""


class UnfinishedReads(Protocol):
    """Reads over everything that has not ended. Raises `Unavailable`."""

    async def unfinished(self, *, at: datetime, late_max: int) -> Unfinished: ...


class Questions(Protocol):
    """Questions with what a decision would rest on; the open ones, the most urgent first. Raises `Unavailable`."""

    async def open_items(self, *, limit: int, after_id: str = "") -> Sequence[Subject]: ...
    async def subject(self, item_id: str, *, naming: str = "") -> Subject | None: ...


class Stories(Protocol):
    """One transaction, one receipt. Raises `Unavailable`."""

    async def story(self, transaction_id: str) -> Story | None: ...
    async def known(self, ref: str) -> Sequence[KnownReference]: ...


@dataclass(slots=True, kw_only=True)
class ConsoleDesk:
    """What the console is answered from. `last_check`: what is known of the invariants, None before the first run.

    `patience_s`: how long an overview waits for the database before it is told without.
    """

    node: str
    readiness: Readiness
    board: Board
    last_check: Callable[[], Check | None]
    reads: UnfinishedReads
    items: Questions
    stories: Stories
    rules: Rules
    deadlines: Deadlines
    clock: Clock
    ids: Ids
    patience_s: float = 3.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: Mapping[str, Any] = field(default_factory=dict)
    _seen_at_s: float = float("-inf")

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler."""
        return (
            ("GET", "/admin/v1/overview", self.overview),
            ("GET", "/admin/v1/reviews", self.reviews),
            ("GET", "/admin/v1/reviews/{id}", self.review),
            ("POST", "/admin/v1/reviews/{id}/preview", self.previewed),
            ("GET", "/admin/v1/transactions/{id}", self.transaction),
            ("GET", "/admin/v1/references/{ref}", self.reference),
        )

    async def overview(self, _request: web.Request) -> web.Response:
        """Everything at a glance. With the database away it says so, and tells what memory knows."""
        now, check = self.clock.now(), self.last_check()
        return json_response(
            {
                "at": time_text(now),
                "node": self.node,
                **await told(self.readiness),
                **render_board(self.board, now),
                "invariants": check.rendered(now) if check is not None else None,
                **await self._unfinished(),
            }
        )

    async def _unfinished(self) -> Mapping[str, Any]:
        async with self._turn:
            if self.clock.monotonic_s() - self._seen_at_s >= FRESH_S:
                now = self.clock.now()
                try:
                    async with asyncio.timeout(self.patience_s):
                        self._seen = (await self.reads.unfinished(at=now, late_max=LATE_MAX)).rendered(now)
                except (Unavailable, TimeoutError):
                    self._seen = NOTHING_KNOWN
                self._seen_at_s = self.clock.monotonic_s()
            return self._seen

    async def reviews(self, request: web.Request) -> web.Response:
        """A page of the open questions."""
        query = query_of(request.query, ReviewsQuery)
        limit = int(query.limit or PAGE_DEFAULT)
        found, now = await self.items.open_items(limit=limit + 1, after_id=query.cursor or ""), self.clock.now()
        page, items = found[:limit], []
        for one in page:
            items.append(one.rendered(now))
            await asyncio.sleep(0)  # the rules are asked about each of its exits: others get their turn
        return json_response(
            {
                "items": items,
                "next_cursor": page[-1].item.id if len(found) > limit else None,
            }
        )

    async def review(self, request: web.Request) -> web.Response:
        """One question, and for every exit what it would do or why it is none."""
        subject = await self._subject(request)
        item = subject.item
        exits = previews(subject, rules=self.rules, occasion=self._occasion())
        return json_response(
            {
                **subject.rendered(self.clock.now()),
                "closed_at": time_text(item.closed_at) if item.closed_at else None,
                "resolution": item.resolution or None,
                "exits": [one.rendered() for one in exits],
            }
        )

    async def previewed(self, request: web.Request) -> web.Response:
        """What a decision with these names would do. Nothing is written down, nothing is done."""
        decision, approval = await decision_of(request)
        subject = await self._subject(request, naming=approval.evidence)
        seen = preview(subject, decision.action, approval, rules=self.rules, occasion=self._occasion())
        return json_response(seen.rendered())

    async def transaction(self, request: web.Request) -> web.Response:
        """One transaction's story, as `penpay explain --json` tells it."""
        id_ = request.match_info["id"]
        story = await self.stories.story(id_) if is_ulid(id_) else None
        if story is None:
            raise Stop("not_found")
        return json_response(story.rendered(self.deadlines))

    async def reference(self, request: web.Request) -> web.Response:
        """Whose a receipt or a provider's transaction id is: what a customer reads from their phone."""
        ref = request.match_info["ref"]
        found = await self.stories.known(ref) if _REFERENCE.fullmatch(ref) else ()
        if not found:
            raise Stop("not_found")
        return json_response({"items": [one.rendered() for one in found]})

    async def _subject(self, request: web.Request, *, naming: str = "") -> Subject:
        id_ = request.match_info["id"]
        subject = await self.items.subject(id_, naming=naming) if is_ulid(id_) else None
        if subject is None:
            raise Stop("not_found")
        return subject

    def _occasion(self) -> Occasion:
        return Occasion(self.clock.now(), (self.ids.ulid(), self.ids.ulid(), self.ids.ulid()))
