"""The recovery gate: closed for a shard, no money call of it leaves until its rows were compared with the providers."""


class RecoveryGate:
    """Why each shard may not call providers. Lost on restart by design: what closed it is found again from outside."""

    __slots__ = ("_reasons",)

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}

    def close(self, shard: int, reason: str) -> None:
        """Shut it; the first reason stays until it is opened."""
        self._reasons.setdefault(shard, reason)

    def open(self, shard: int) -> None:
        """Reconciliation has compared everything: money calls may leave again."""
        self._reasons.pop(shard, None)

    def reason(self, shard: int) -> str:
        """Why it is closed; empty while it is open."""
        return self._reasons.get(shard, "")

    def closed(self) -> dict[int, str]:
        """All closed shards with their reasons."""
        return dict(self._reasons)
