"""Rate limits: how often one account or one address may do one thing. Source: faults.md S25."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At most `limit` hits in any `window_s`. `name` is part of the stored key.

    `strict`: without the shared counter nothing is let through (sign-in, codes, PINs); other rules then count in this
    process alone. `distinct`: equal members of one window count once, so a repeated Idempotency-Key costs nothing.
    """

    name: str
    limit: int
    window_s: int
    strict: bool = False
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One use of a rule by `key` (a user, an address, a blind index)."""

    rule: Rule
    key: str
    member: str = ""
