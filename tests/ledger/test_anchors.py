"""Anchors and witness: what leaves the database, and when the gate closes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.anchors import AnchorActor, AnchorParts
from penpay.adapters.anchor_files import AnchorFiles
from penpay.domain.errors import Unavailable
from penpay.domain.gate import NOT_COMPARED, RecoveryGate
from penpay.messages import AcceptRecovery, MakeAnchors, Refusal
from penpay.ports_audit import Anchor, ChainHead, Sighting, standing

SEED = b"s" * 32


class Database:
    """Says what the test wants it to have become."""

    def __init__(self):
        self.seen: Sighting | None = sighting(0)

    async def look(self) -> Sighting:
        if self.seen is None:
            raise Unavailable("database")
        return self.seen


class StandingClock:
    def __init__(self):
        self.now_s = 0.0

    def now(self):
        return datetime(2026, 11, 20, tzinfo=UTC)

    def monotonic_s(self):
        return self.now_s


def sighting(seq: int, *, server: str = "db1:/data", shards: int = 2) -> Sighting:
    heads = [ChainHead(f"postings/{shard}", seq, bytes(31) + bytes([seq % 251])) for shard in range(shards)]
    return Sighting("INSTALLATION", server, heads, dict.fromkeys(range(shards), seq))


class House:
    def __init__(self, folder):
        self.database = Database()
        self.book = AnchorFiles(folder, seed=SEED)
        self.gate = RecoveryGate()
        self.clock = StandingClock()
        self.ref = None

    async def start(self):
        self.gate = RecoveryGate()
        parts = AnchorParts(
            heads=self.database, book=self.book, gate=self.gate, clock=self.clock, shards=2, look_s=3600.0
        )
        self.ref = AnchorActor.start(parts)
        await self.ref.ready()

    async def look(self) -> str:
        return await self.ref.aask("look")

    async def anchored(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for anchor in await self.book.anchors("INSTALLATION"):
            found.setdefault(anchor.chain, []).append(anchor.seq)
        return found


@pytest.fixture
async def house(tmp_path):
    house = House(tmp_path)
    yield house
    if house.ref is not None and house.ref.is_alive():
        await house.ref.shutdown(5)


async def test_the_gate_opens_with_the_first_look(house):
    house.database.seen = None
    await house.start()
    assert house.gate.closed() == {0: NOT_COMPARED, 1: NOT_COMPARED}
    house.database.seen = sighting(0)
    assert await house.look() == "well"
    assert house.gate.closed() == {}


async def test_a_chain_is_anchored_when_it_has_grown_enough_or_long_ago(house):
    await house.start()
    house.database.seen = sighting(999)
    await house.look()
    assert await house.anchored() == {}
    house.database.seen = sighting(1000)
    await house.look()
    assert await house.anchored() == {"postings/0": [1000], "postings/1": [1000]}
    house.database.seen = sighting(1001)
    house.clock.now_s = 299.0
    await house.look()
    house.clock.now_s = 300.0
    await house.look()
    await house.look()
    assert await house.anchored() == {"postings/0": [1000, 1001], "postings/1": [1000, 1001]}


async def test_it_is_anchored_on_demand_and_at_the_end(house):
    await house.start()
    house.database.seen = sighting(5)
    await house.ref.aask(MakeAnchors())
    assert (await house.anchored())["postings/0"] == [5]
    house.database.seen = sighting(6)
    await house.ref.shutdown(5)
    assert (await house.anchored())["postings/0"] == [5, 6]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_database_that_went_back_closes_the_gate_and_the_proof_stays(house, restarted):
    await house.start()
    house.database.seen = sighting(50)
    await house.look()
    if restarted:
        await house.ref.shutdown(5)
    house.database.seen = replace(sighting(50), unit_seqs={0: 50, 1: 49})
    if restarted:
        await house.start()
    await house.look()
    assert house.gate.closed() == {
        0: "the database of shard 1 went back",
        1: "at unit 49, but unit 50 was committed",
    }
    assert (await house.book.witness("INSTALLATION")).unit_seqs == {0: 50, 1: 50}


async def test_what_one_ledger_finds_lost_closes_the_others_too(house):
    await house.start()
    house.gate.close(1, "the database lost units that were acknowledged")
    await house.look()
    assert house.gate.closed() == {
        0: "the database of shard 1 went back",
        1: "the database lost units that were acknowledged",
    }
    assert await house.ref.aask(AcceptRecovery()) == (0, 1)
    await house.look()
    assert house.gate.closed() == {}


async def test_a_chain_behind_its_anchor_closes_the_gate(house):
    await house.start()
    house.database.seen = sighting(50)
    await house.ref.aask(MakeAnchors())
    seen = sighting(50)
    house.database.seen = replace(seen, heads=[ChainHead("postings/0", 40, b""), *seen.heads[1:]])
    await house.look()
    assert house.gate.closed() == {
        0: "postings/0 is at 40, its anchor at 50",
        1: "the database of shard 0 went back",
    }


async def test_another_server_closes_every_gate(house):
    await house.start()
    house.database.seen = sighting(50)
    await house.look()
    house.database.seen = sighting(50, server="db2:/data")
    await house.look()
    assert set(house.gate.closed()) == {0, 1}
    house.database.seen = sighting(50)
    await house.look()
    assert set(house.gate.closed()) == {0, 1}, "only a reconciliation opens it"


async def test_another_installation_compares_nothing(house):
    await house.start()
    house.database.seen = sighting(50)
    await house.ref.shutdown(5)
    house.database.seen = replace(sighting(0), installation_id="OTHER")
    await house.start()
    assert house.gate.closed() == {}


async def test_a_damaged_witness_closes_every_gate_and_crashes_nothing(house, tmp_path):
    await house.start()
    house.database.seen = sighting(50)
    await house.look()
    await house.ref.shutdown(5)
    next(tmp_path.glob("*/witness.json")).write_text("{")
    await house.start()
    assert set(house.gate.closed()) == {0, 1}
    assert house.ref.is_alive()


@pytest.mark.parametrize("server", ["db1:/data", "db2:/data"])
async def test_an_accepted_recovery_opens_the_gate_and_stays_accepted(house, server):
    await house.start()
    house.database.seen = sighting(50)
    await house.ref.aask(MakeAnchors())
    house.database.seen = sighting(40, server=server)
    await house.look()
    assert set(house.gate.closed()) == {0, 1}
    assert await house.ref.aask(AcceptRecovery()) == (0, 1)
    await house.look()
    assert house.gate.closed() == {}
    await house.ref.shutdown(5)
    await house.start()
    await house.look()
    assert house.gate.closed() == {}
    house.database.seen = sighting(39, server=server)
    await house.look()
    assert set(house.gate.closed()) == {0, 1}, "the next loss is noticed again"


async def test_without_a_loss_there_is_nothing_to_accept(house):
    await house.start()
    house.database.seen = sighting(50)
    await house.ref.aask(MakeAnchors())
    assert await house.ref.aask(AcceptRecovery()) == ()
    assert await house.anchored() == {"postings/0": [50], "postings/1": [50]}


async def test_what_somebody_altered_outside_is_not_accepted(house, tmp_path):
    await house.start()
    house.database.seen = sighting(50)
    await house.look()
    await house.ref.shutdown(5)
    next(tmp_path.glob("*/witness.json")).write_text("{")
    await house.start()
    assert isinstance(await house.ref.aask(AcceptRecovery()), Refusal)
    assert set(house.gate.closed()) == {0, 1}


async def test_without_a_database_nothing_is_accepted(house):
    await house.start()
    house.database.seen = None
    refused = await house.ref.aask(AcceptRecovery())
    assert (refused.code, house.ref.is_alive()) == ("unavailable", True)


def test_a_recovery_overtakes_only_the_higher_anchors_of_its_chain():
    def anchor(chain: str, seq: int, *, recovery: bool = False) -> Anchor:
        return Anchor("I", chain, seq, bytes(32), datetime(2026, 11, 20, tzinfo=UTC), recovery)

    written = [anchor("a", 10), anchor("b", 50), anchor("a", 50), anchor("a", 40, recovery=True), anchor("a", 45)]
    assert [(one.chain, one.seq) for one in standing(written)] == [("a", 10), ("b", 50), ("a", 40), ("a", 45)]
