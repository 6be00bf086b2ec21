"""How the fields that have no column of their own travel in a saga's row: canonical JSON of what is set."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penpay.domain.decision import Operation
from penpay.domain.json_text import canonical_json
from penpay.domain.unit import OperationState


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Names of a saga's fields by what they are."""

    texts: tuple[str, ...]
    times: tuple[str, ...]
    counts: tuple[str, ...]
    flags: tuple[str, ...]
    lists: tuple[str, ...]
    """Of texts."""
    operations: tuple[str, ...]


def packed(saga: object, packing: Packing, **more: Any) -> str:
    """Only what is set: most sagas are short. Equal sagas give equal text."""
    data: dict[str, Any] = {name: value for name in (*packing.texts, *packing.counts) if (value := getattr(saga, name))}
    data |= {name: value.isoformat() for name in packing.times if (value := getattr(saga, name)) is not None}
    data |= {name: True for name in packing.flags if getattr(saga, name)}
    data |= {name: list(texts) for name in packing.lists if (texts := getattr(saga, name))}
    for name in packing.operations:
        held: Operation | None = getattr(saga, name)
        if held is not None:
            data[name] = [held.id, held.state.value, held.unknowns, held.attempt, held.attempts_closed]
    return canonical_json(data | more)


def unpacked(data: Mapping[str, Any], packing: Packing) -> dict[str, Any]:
    """The fields again, as arguments of the saga's class."""
    fields: dict[str, Any] = {name: _operation(data.get(name)) for name in packing.operations}
    fields |= {name: data.get(name, "") for name in packing.texts}
    fields |= {name: data.get(name, 0) for name in packing.counts}
    fields |= {name: bool(data.get(name)) for name in packing.flags}
    fields |= {name: tuple(data.get(name, ())) for name in packing.lists}
    return fields | {name: datetime.fromisoformat(data[name]) if name in data else None for name in packing.times}


def _operation(stored: list[Any] | None) -> Operation | None:
    if stored is None:
        return None
    operation_id, state, unknowns, attempt, closed = stored
    return Operation(
        id=operation_id, state=OperationState(state), unknowns=unknowns, attempt=attempt, attempts_closed=closed
    )
