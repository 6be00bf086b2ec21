"""The states of both sagas as pictures, made from the tables that decide. A test keeps the README's copies equal."""

from collections.abc import Mapping
from typing import Any

from penpay.domain import deposit, withdrawal
from penpay.domain.deposit_events import MpesaPaid
from penpay.domain.saga_events import Parked

_QUIET: frozenset[type] = frozenset({Parked})
"""True of every open state alike; drawn once as a note instead of once per state."""


def deposit_diagram() -> str:
    """Mermaid text. Steps that stay in their state are left out; arriving money passes through PAID."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, event, target in _steps(deposit.TRANSITIONS):
        if event is MpesaPaid and source in deposit.BEFORE_MONEY:
            labels.setdefault((source.value, deposit.State.PAID.value), [event.__name__])
            labels.setdefault((deposit.State.PAID.value, target.value), [])
        else:
            _label(labels, source.value, target.value, event)
    return _drawn(labels)


def withdrawal_diagram() -> str:
    """Mermaid text. Steps that stay in their state are left out."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, event, target in _steps(withdrawal.TRANSITIONS):
        _label(labels, source.value, target.value, event)
    return _drawn(labels)


def _steps(transitions: Mapping[Any, Mapping[Any, tuple[Any, ...]]]) -> list[tuple[Any, type, Any]]:
    return [
        (source, event, target)
        for source, row in transitions.items()
        for event, targets in row.items()
        for target in targets
        if event not in _QUIET and target is not source
    ]


def _label(labels: dict[tuple[str, str], list[str]], start: str, end: str, event: type) -> None:
    names = labels.setdefault((start, end), [])
    if event.__name__ not in names:
        names.append(event.__name__)


def _drawn(labels: Mapping[tuple[str, str], list[str]]) -> str:
    lines = ["stateDiagram-v2", "    [*] --> CREATED"]
    for (start, end), names in labels.items():
        lines.append(f"    {start} --> {end}" + (f": {', '.join(names)}" if names else ""))
    lines.append("    note right of IN_REVIEW: every open state comes here when its saga is parked")
    return "\n".join(lines)
