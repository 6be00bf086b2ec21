"""Ablations: each safeguard of production, and the composition without it. Seeds must fail then, or nobody needs it."""

from collections.abc import Mapping
from dataclasses import dataclass

from penpay.simulation.twists import Twists


@dataclass(frozen=True, slots=True)
class Safeguard:
    """What it is for, and how a world is made without it."""

    purpose: str
    twists: Twists


SAFEGUARDS: Mapping[str, Safeguard] = {}
