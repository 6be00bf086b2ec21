"""Ids in the providers' formats. The boot number is part of each, so that a restart repeats none."""

import itertools
import random
import time
from datetime import UTC, datetime, timedelta, timezone

NAIROBI = timezone(timedelta(hours=3))

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPACE = 36**8
# Coprime to 36**8: multiplying is a permutation, so receipts look random and never collide.
_STRIDE = 1_679_616_199_937


class Ids:
    """Draws ids. `seed` decides only what is random in them, never whether they are unique."""

    def __init__(self, *, seed: int, boot: int) -> None:
        self.random = random.Random(f"{seed}/{boot}")
        self._base = boot * 2**31
        self._serial = itertools.count(1)
        self._transaction = itertools.count(100_000_000 + boot * 50_000_000)

    def receipt(self) -> str:
        """An M-Pesa receipt: ten capitals and digits."""
        number = (self._base + next(self._serial)) * _STRIDE % _SPACE
        text = ""
        for _ in range(8):
            number, digit = divmod(number, 36)
            text = _DIGITS[digit] + text
        return "TK" + text

    def checkout_id(self, epoch_s: float) -> str:
        at = datetime.fromtimestamp(epoch_s, NAIROBI)
        return f"ws_CO_{at:%d%m%Y%H%M%S}{self._base // 2**31:03d}{next(self._serial):09d}"

    def merchant_id(self) -> str:
        noise = f"{self.random.getrandbits(64):016x}"
        return f"{noise[:4]}-{noise[4:8]}-{noise[8:12]}-{self._base + next(self._serial):014x}-1"

    def conversation_id(self, epoch_s: float) -> str:
        at = datetime.fromtimestamp(epoch_s, NAIROBI)
        return f"AG_{at:%Y%m%d}_{self.random.getrandbits(48):012x}{self._base + next(self._serial):012x}"

    def request_id(self) -> str:
        noise = f"{self.random.getrandbits(64):016x}"
        return f"{noise[:4]}-{noise[4:8]}-{noise[8:12]}-{noise[12:]}{next(self._serial)}"

    def transaction_id(self) -> int:
        """A Deriv transaction id; they only grow."""
        return next(self._transaction)

    def hex(self, digits: int) -> str:
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"


def now_epoch_s() -> float:
    """The sandbox lives in real time."""
    return time.time()


def nairobi_digits(epoch_s: float) -> int:
    """Safaricom's YYYYMMDDHHmmss as a number."""
    return int(f"{datetime.fromtimestamp(epoch_s, NAIROBI):%Y%m%d%H%M%S}")


def nairobi_dotted(epoch_s: float) -> str:
    """The dd.MM.yyyy HH:mm:ss of B2C results."""
    return f"{datetime.fromtimestamp(epoch_s, NAIROBI):%d.%m.%Y %H:%M:%S}"


def utc_iso(epoch_s: float) -> str:
    """Pull's trxDate: UTC with a Z, to the second."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
