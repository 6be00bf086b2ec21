"""What readiness rests on, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One thing that readiness rests on. `needed`: without it no new business is taken."""

    name: str
    ok: bool
    needed: bool = True
    detail: str = ""


class Readiness(Protocol):
    """What the node could do right now."""

    async def dependencies(self) -> Sequence[Dependency]: ...


async def told(readiness: Readiness) -> dict[str, Any]:
    """Whether new business is taken, and every dependency with its reason."""
    found = await readiness.dependencies()
    return {
        "ready": all(one.ok for one in found if one.needed),
        "dependencies": {one.name: {"ok": one.ok, "needed": one.needed, "detail": one.detail} for one in found},
    }
