"""Rate limits: how often one account or one address may do one thing. Source: faults.md S25."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At most `limit` hits are let through in any `window_s`; a refused one counts nothing. `name` is part of the key.

    `strict`: without the shared counter nothing is let through (sign-in, codes, PINs); other rules then count in this
    process alone. `distinct`: a member that was let through counts once in its window, so that a repeated
    Idempotency-Key costs nothing.
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
