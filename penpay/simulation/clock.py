"""Time, ids and seals of the simulated world: all of them from the universe and its seed."""

import random
from datetime import UTC, datetime, timedelta

from penpay.domain.ids import ulid
from penpay.simulation.loop import Universe

BEGAN_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class WorldClock:
    """`Clock` of one machine. `skew_s`: by how much its wall clock is wrong."""

    def __init__(self, universe: Universe, *, skew_s: float = 0.0) -> None:
        self._universe = universe
        self._began_at = BEGAN_AT + timedelta(seconds=skew_s)

    def now(self) -> datetime:
        """Wall time, in whole microseconds."""
        return self._began_at + timedelta(seconds=self._universe.now_s)

    def jump(self, seconds: float) -> None:
        """Somebody sets it."""
        self._began_at += timedelta(seconds=seconds)

    def monotonic_s(self) -> float:
        """The universe's: nobody sets that."""
        return self._universe.now_s


class DiceUlids:
    """`Ids` from the virtual time and the seed's dice."""

    def __init__(self, clock: WorldClock, dice: random.Random) -> None:
        self._clock = clock
        self._dice = dice

    def ulid(self) -> str:
        """A fresh identifier."""
        return ulid(int(self._clock.now().timestamp() * 1000), self._dice.getrandbits(80).to_bytes(10))


class PlainSealer:
    """`Sealer` that hides nothing, draws nothing, and refuses what was moved as the real one does."""

    def new_data_key(self, user_id: str) -> bytes:
        """One per user."""
        return f"key of {user_id}".encode()

    def seal(self, plaintext: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        """The place in front of the text."""
        return b"|".join((aad.encode(), user_id.encode(), data_key, plaintext))

    def open(self, sealed: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        """The text, when place and key are right."""
        place = b"|".join((aad.encode(), user_id.encode(), data_key, b""))
        if not sealed.startswith(place):
            raise ValueError("sealed bytes were moved, or their key is gone")
        return sealed[len(place) :]

    def blind_index(self, value: str) -> bytes:
        """Stands for itself."""
        return value.encode().ljust(32, b"\0")[:32]

    def fingerprint(self, value: bytes) -> str:
        """64 digits."""
        return value.hex().ljust(64, "0")[:64]
