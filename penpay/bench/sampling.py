"""Where a node's CPU time goes: `python -m penpay.bench.sampling FILE` is `penpay serve` with a sampler inside.

The kernel interrupts the process after every few milliseconds of its CPU time; what the main thread is doing then is
counted under the innermost part of the system that is on the stack, so that a write to the database's socket counts for
the database and not for the event loop. At the end the counts are written to FILE.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import orjson

from config.settings import load_settings
from penpay.app.serve import serve

EVERY_S = 0.002
_PARTS = (
    ("log lines", ("config/logging", "/structlog/", "/logging/")),
    ("Redis: event streams, rate limits", ("adapters/redis", "adapters/stream", "adapters/rate_limits", "/redis/")),
    ("signatures and sealing", ("adapters/tokens", "adapters/crypto", "/jwt/", "/cryptography/")),
    ("Daraja's client", ("adapters/daraja",)),
    ("Deriv's socket", ("adapters/deriv", "domain/deriv_protocol", "/websockets/")),
    ("metrics", ("adapters/metrics", "/prometheus_client/")),
    ("database: statements and rows", ("/adapters/", "/aiomysql/", "/pymysql/")),
    ("HTTP: requests, callbacks, answers", ("penpay/http/", "/aiohttp/")),
    ("decisions, postings, presentation", ("penpay/domain/",)),
    ("ledger: judging and planning units", ("actors/ledger",)),
    ("actor runtime", ("actors/runtime/", "actors/base", "supervisors/")),
    ("sagas, users, rails, relay", ("actors/",)),
)
"""Name of a part, and what the paths of its files contain; the first that fits an innermost frame has the sample."""
REST = "event loop"


class Sampler:
    """Counts samples by part."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._part_of: dict[str, str] = {}

    def start(self) -> None:
        """Sample from now on. On the main thread."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def stop(self) -> Mapping[str, int]:
        """The counts, largest first."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        return dict(self._counts.most_common())

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            part = self._part(frame.f_code.co_filename)
            if part:
                self._counts[part] += 1
                return
            frame = frame.f_back
        self._counts[REST] += 1

    def _part(self, path: str) -> str:
        known = self._part_of.get(path)
        if known is None:
            known = next((name for name, marks in _PARTS if any(mark in path for mark in marks)), "")
            self._part_of[path] = known
        return known


def shares(counts: Mapping[str, int]) -> Mapping[str, float]:
    """Each part's share of all samples, largest first."""
    total = sum(counts.values()) or 1
    return {name: count / total for name, count in sorted(counts.items(), key=lambda item: -item[1])}


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop, then write the counts."""
    sampler = Sampler()
    sampler.start()
    try:
        return serve(load_settings(os.environ))
    finally:
        Path(arguments[0]).write_bytes(orjson.dumps(sampler.stop()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
