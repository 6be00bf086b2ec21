"""How well a customer is known, and what follows from it. Source: contract.md part 5, faults.md part E.

Tiers only ever widen the limits of the contract: nobody who may pay under them is held below them.
"""

from difflib import SequenceMatcher
from enum import IntEnum, StrEnum

from penpay.domain.identity import name_tokens, names_match

PAYEE_SCORE_MIN = 80
"""Below it a person looks at the name under which M-Pesa knows a receiver."""


class Tier(IntEnum):
    """0 may move nothing (admission says what is missing). 2 and 3 are given by two people of the staff."""

    REGISTERED = 0
    LINKED = 1
    """A verified phone, and a Deriv account in the same name."""
    IDENTIFIED = 2
    ENHANCED = 3


class Reason(StrEnum):
    """Why a snapshot was taken. The names are stored."""

    PHONE_VERIFIED = "phone_verified"
    PHONE_CHANGED = "phone_changed"
    DERIV_LINKED = "deriv_linked"
    NAME_DIFFERS = "name_differs"
    NAME_APPROVED = "name_approved"
    PAYEE_NAMED = "payee_named"
    STAFF = "staff"


def day_limit_minor(tier: int, contract_minor: int, *, identified_minor: int, enhanced_minor: int) -> int:
    """What may be moved a day in one direction, in cents: the contract's limit, or the tier's where that is wider."""
    wider = {Tier.IDENTIFIED: identified_minor, Tier.ENHANCED: enhanced_minor}
    return max(contract_minor, wider.get(Tier(tier), 0))


def name_score(ours: str, theirs: str) -> int:
    """How like two names are, 0 to 100: each word of the shorter one with its nearest in the longer.

    For people who decide; whether a name matches is said by `penpay.domain.identity.names_match` alone.
    """
    left, right = name_tokens(ours), name_tokens(theirs)
    if len(left) == len(right):
        return max(_score(left, right), _score(right, left))
    return _score(*sorted((left, right), key=len))


def payee_name(text: str) -> str:
    """The name in M-Pesa's `254712345678 - JOHN DOE`; empty when there is none. The number may be masked."""
    number, dash, name = text.partition(" - ")
    bare = name if dash and not any(letter.isalpha() and letter not in "xX" for letter in number) else text
    return " ".join(bare.split()) if name_tokens(bare) else ""


def payee_matches(ours: str, theirs: str) -> bool:
    """Whether M-Pesa's name may be the customer's. Lenient: M-Pesa writes two names of three, cut and in capitals."""
    return name_score(ours, theirs) >= PAYEE_SCORE_MIN or names_match(ours, theirs)


def _score(shorter: frozenset[str], longer: frozenset[str]) -> int:
    if not shorter:
        return 0
    nearest = (max(_likeness(one, other) for other in longer) for one in sorted(shorter))
    return round(100 * sum(nearest) / len(shorter))


def _likeness(one: str, other: str) -> float:
    """The matcher's own figure depends on which comes first."""
    return max(SequenceMatcher(None, one, other).ratio(), SequenceMatcher(None, other, one).ratio())
