"""F92: evidence that ends the whole process of whoever works on it: nothing is left to count it but the next start."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.inbox import InboxActor
from actors.saga import SagaActor
from penpay.domain.credits import UnmatchedCredit, encode_credit
from penpay.domain.money import usd
from penpay.domain.suspicion import DELIVERIES_MAX, SUSPECT
from penpay.messages import InboxRow
from penpay.simulation.play import Outcome, play
from penpay.simulation.store.rows import StoredEvidence
from penpay.simulation.twists import Twists
from penpay.simulation.world import Seed, World


class Killer:
    """Ends the process of whoever has a row in hand, `kill -9` before anything is recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends: Callable[["Killer", InboxRow], bool]) -> None:
        self.deaths: Counter[str] = Counter()
        self.rows: Mapping[str, StoredEvidence] = {}
        self.strays: list[InboxRow] = []
        """What lies in the inbox from the beginning, and is nobody's."""
        self._world: World | None = None
        apply = SagaActor._apply

        async def applied(
            saga: SagaActor, event_now: Any, *, consumes: tuple[str, ...] = (), staff: bool = False
        ) -> Any:
            for row_id in consumes:
                if ends(self, self.rows[row_id].row):
                    self.deaths[row_id] += 1
                    await self._end()
            return await apply(saga, event_now, consumes=consumes, staff=staff)

        monkeypatch.setattr(SagaActor, "_apply", applied)
        book_stray = InboxActor._book_stray

        async def booked(inbox: InboxActor, row: InboxRow) -> None:
            if ends(self, row):
                self.deaths[row.id] += 1
                await self._end()
            await book_stray(inbox, row)

        monkeypatch.setattr(InboxActor, "_book_stray", booked)

    async def _end(self) -> None:
        assert self._world is not None
        for name in list(self._world.nodes):
            self._world.crash(name)
        await asyncio.get_running_loop().create_future()

    def _began(self, world: object) -> None:
        assert isinstance(world, World)
        self._world, self.rows = world, world.server.schema.callback_inbox.rows
        for row in self.strays:
            stored = StoredEvidence(row, dedupe_key=f"credit:{row.id}", source="deriv", status="NEW")
            world.server.schema.callback_inbox.insert(stored, [])

    @contextmanager
    def _set(self) -> Iterator[None]:
        yield
        self._world = None

    def play(self, number: int) -> Outcome:
        return play(Seed(number, faults=(), twists=Twists(parts=self._set, began=self._began)))

    def put_aside(self) -> set[str]:
        return {row_id for row_id, stored in self.rows.items() if stored.status == "QUARANTINED"}


@pytest.mark.parametrize("number", [1720001, 1720003])
def test_one_poison_among_sound_evidence_is_put_aside_alone_and_its_money_found_otherwise(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    poison: list[str] = []

    def is_poison(_: Killer, row: InboxRow) -> bool:
        if row.kind == "stk" and not poison:
            poison.append(row.id)
        return row.id in poison

    killer = Killer(monkeypatch, is_poison)
    played = killer.play(number)
    assert killer.deaths == {poison[0]: SUSPECT + DELIVERIES_MAX}
    assert killer.put_aside() == set(poison)
    assert {stored.row.deliveries for stored in killer.rows.values() if stored.row.id not in poison} == {0}
    assert played.wrong == ()
    assert {state for state in played.states if "DEPOSIT" in state} == {"DEPOSIT COMPLETED"}


@pytest.mark.parametrize("number", [1720001, 1720003])
def test_a_process_that_is_killed_again_and_again_with_sound_evidence_in_hand_puts_none_aside(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The same row each time, as it is the oldest."""
    killer = Killer(monkeypatch, lambda it, _: it.deaths.total() < DELIVERIES_MAX)
    played = killer.play(number)
    assert killer.deaths.total() == DELIVERIES_MAX
    assert (killer.put_aside(), played.wrong) == (set(), ())


def stray(number: int) -> InboxRow:
    """Dollars of nobody, long ago."""
    at = datetime(2020, 1, 1, tzinfo=UTC)
    body = encode_credit(UnmatchedCredit(transaction_id=f"9900{number}", amount=usd(1_000), at=at))
    return InboxRow(
        id=f"01J00000000000000000STRAY{number}",
        shard=0,
        kind="credit",
        operation_id="",
        body=body,
        trusted_source=True,
        received_at=at,
    )


def test_poison_of_nobody_is_put_aside_as_well_and_what_lies_behind_it_is_booked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison, sound = stray(1), stray(2)
    killer = Killer(monkeypatch, lambda _, row: row.id == poison.id)
    killer.strays = [poison, sound]
    killer.play(1720001)
    assert killer.deaths == {poison.id: SUSPECT + DELIVERIES_MAX - 1}, "the very first start found it as well"
    assert killer.rows[poison.id].unit_id == f"quarantine:{poison.id}"
    assert killer.rows[sound.id].unit_id == "ref:99002"
