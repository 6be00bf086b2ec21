"""The deposit's states as a picture, made from the table that decides. A test keeps the README's copy equal."""

from penpay.domain.deposit import BEFORE_MONEY, TRANSITIONS, State
from penpay.domain.deposit_events import Event, MpesaPaid, Parked

_QUIET: frozenset[type[Event]] = frozenset({Parked})
"""True of every open state alike; drawn once as a note instead of once per state."""


def deposit_diagram() -> str:
    """Mermaid text. Steps that stay in their state are left out; arriving money passes through PAID."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, row in TRANSITIONS.items():
        for event, targets in row.items():
            if event in _QUIET:
                continue
            for target in targets:
                if target is source:
                    continue
                start = source.value
                if event is MpesaPaid and source in BEFORE_MONEY and target is not source:
                    labels.setdefault((start, State.PAID.value), [event.__name__])
                    labels.setdefault((State.PAID.value, target.value), [])
                    continue
                names = labels.setdefault((start, target.value), [])
                if event.__name__ not in names:
                    names.append(event.__name__)
    lines = ["stateDiagram-v2", "    [*] --> CREATED"]
    lines += [
        f"    {start} --> {end}" + (f": {', '.join(names)}" if names else "") for (start, end), names in labels.items()
    ]
    lines.append("    note right of IN_REVIEW: every open state comes here when its saga is parked")
    return "\n".join(lines)
