"""What Deriv does or says late: credits that nobody sees, transfers that it executes after all, and whom it had paid.

All of it is against its word, so nobody can prevent it: the books have to follow, and people have to be asked.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from penpay.simulation.deriv_socket import ServerEnd
from penpay.simulation.odds import Odds
from penpay.simulation.post import Post
from penpay.simulation.scale import scaled
from penpay.simulation.truth import Transfer

Hung = tuple[ServerEnd, dict[str, Any]]
"""Whom a transfer came from, and what it asks for."""
SOMEBODY = "CR100099"
"""Who gets what goes astray."""
BROKEN_WORD = ("deriv.credits_late", "deriv.executes_after_all", "deriv.pays_another")
MISSED_S = scaled(5_000.0)
"""A credit that is shown as late as this finds people looking at its withdrawal."""
ELSEWHERE_S = 100.0
"""One that is made as late as this is provably no debit's: behind the settle window and the margin of clocks."""
PATIENCE_S = 30.0
"""Longer than it takes until what is shown has been read twice."""
HIDDEN = 0.4
"""Share of late credits that were made in time."""
PATIENT = 0.9
"""Share of credits on which people wait before they look at anything."""
ASTRAY = 0.25
"""Share of transfers executed after all that go to somebody else."""


class Belated:
    """What is still to come. Its dice are rolled only where such a trouble strikes."""

    def __init__(self, odds: Odds, post: Post, dice: random.Random, *, now_s: Callable[[], float]) -> None:
        self._odds = odds
        self._post = post
        self._dice = dice
        self._now_s = now_s
        self._hidden: dict[int, float] = {}
        """Movements that are on no page and in no stream, and until when."""
        self._awaited: list[tuple[Transfer, float]] = []
        self._kept: dict[str, list[Hung]] = {}
        """Transfers that hang, by description."""
        self._unsaid: dict[str, tuple[ServerEnd, str]] = {}
        """Replies of transfers that somebody else got, by description."""

    def shows(self, movement: int) -> bool:
        """Whether it was made and is hidden from nobody."""
        return movement != 0 and self._hidden.get(movement, 0.0) <= self._now_s()

    @property
    def keeps_any(self) -> bool:
        """Whether a transfer hangs."""
        return bool(self._kept)

    @property
    def keeps_words(self) -> bool:
        """Whether a reply does."""
        return bool(self._unsaid)

    # --- credits --------------------------------------------------------------------------------------------------

    def credit(self, moved: Transfer, post_row: Callable[[Transfer], None]) -> None:
        """Make it now and hide it, or make it late, with a date as late as that."""
        some_s = scaled(500.0) * self._dice.random()
        if self._dice.random() < HIDDEN:
            moved.hidden_s = self._now_s() + MISSED_S + some_s
            post_row(moved)
        else:
            self._post.after(ELSEWHERE_S + some_s, post_row, moved)
        if self._dice.random() < PATIENT:
            self._awaited.append((moved, self._now_s() + MISSED_S + some_s + PATIENCE_S))

    def hide(self, movement: int, until_s: float) -> None:
        """Show it to nobody before then."""
        self._hidden[movement] = until_s

    def awaits(self, is_booked: Callable[[str], bool]) -> bool:
        """Whether people have the patience to wait for a credit that is in no book yet."""
        if not self._awaited:
            return False
        now_s = self._now_s()
        self._awaited = [
            (moved, until_s)
            for moved, until_s in self._awaited
            if now_s < until_s and not (moved.other_id and is_booked(str(moved.other_id)))
        ]
        return bool(self._awaited)

    # --- transfers ------------------------------------------------------------------------------------------------

    def keeps(self, end: ServerEnd, request: dict[str, Any]) -> bool:
        """Whether this one hangs. What hung once hangs again."""
        description = request["description"]
        if description not in self._kept and not self._odds.hits("deriv.executes_after_all"):
            return False
        self._kept.setdefault(description, []).append((end, request))
        return True

    def given_up(self, descriptions: set[str]) -> Iterator[tuple[float, Hung, str]]:
        """After how many seconds each of these comes, and for whom."""
        for description in [one for one in self._kept if one in descriptions]:
            for hung in self._kept.pop(description):
                astray = self._dice.random() < ASTRAY
                yield scaled(40.0) * self._dice.random(), hung, SOMEBODY if astray else hung[1]["transfer_to"]

    def unsaid(self, description: str, end: ServerEnd, reply: str) -> None:
        """A reply for later, when its transfer has been taken for what was asked, or people are asked."""
        self._unsaid[description] = end, reply

    def says(self, descriptions: set[str]) -> None:
        """Now, where somebody still hears it."""
        for description in [one for one in self._unsaid if one in descriptions]:
            end, reply = self._unsaid.pop(description)
            self._post.send(scaled(20.0) * self._dice.random(), end.say, reply)
