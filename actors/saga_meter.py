"""What the metrics are told of a decision: how long each state lasted, and how transactions end."""

from typing import Any

from actors.flow import Flow
from penpay.domain.decision import Decision
from penpay.ports import SagaMeter


def measure(meter: SagaMeter | None, flow: Flow, before: Any, decision: Decision[Any]) -> None:
    """Tell of the states that were left, and of a new status."""
    if meter is None:
        return
    after, since = decision.saga, before.state_since or before.created_at
    for step in decision.steps:
        if step.from_state != step.to_state:
            seconds = (after.updated_at - since).total_seconds()
            meter.stage(type_=flow.type, stage=step.from_state, seconds=max(0.0, seconds))
            since = after.updated_at
    if flow.status[after.state] != flow.status[before.state]:
        meter.transaction(type_=flow.type, status=flow.status[after.state])
