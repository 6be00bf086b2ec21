"""F92: evidence that ends the whole process of whoever works on it: nothing is left to count it but the next start."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from actors.saga import SagaActor
from penpay.domain.suspicion import DELIVERIES_MAX, SUSPECT
from penpay.messages import InboxRow
from penpay.simulation.play import Outcome, play
from penpay.simulation.store.rows import StoredEvidence
from penpay.simulation.twists import Twists
from penpay.simulation.world import Seed, World


class Killer:
    """Ends the process of a saga that has a row in hand, `kill -9` before it has recorded anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends: Callable[["Killer", InboxRow], bool]) -> None:
        self.deaths: Counter[str] = Counter()
        self.rows: Mapping[str, StoredEvidence] = {}
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

    async def _end(self) -> None:
        assert self._world is not None
        for name in list(self._world.nodes):
            self._world.crash(name)
        await asyncio.get_running_loop().create_future()

    def _began(self, world: object) -> None:
        assert isinstance(world, World)
        self._world, self.rows = world, world.server.schema.callback_inbox.rows

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
