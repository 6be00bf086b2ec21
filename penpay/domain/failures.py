"""Why a transaction did not complete, in words for the customer. Codes are the saga's or the provider's own."""

from collections.abc import Mapping

from penpay.domain.failure_texts import B2C, DEPOSITS, MPESA, REVIEW, SECOND_LOOK, STK, UNDECIDED, WITHDRAWALS, Hint
from penpay.domain.fx import Direction

LANGUAGES = ("en", "sw")
_TEXTS: Mapping[str, Mapping[str, Hint]] = {Direction.DEPOSIT: DEPOSITS, Direction.WITHDRAWAL: WITHDRAWALS}


def failure_of(
    code: str, type_: str = Direction.DEPOSIT, *, provider_code: str = "", in_review: bool = False, language: str = "en"
) -> dict[str, str] | None:
    """The `failure` object of a transaction of this type, or None without a code. An unknown code keeps its name.

    `provider_code`: the last failed result of a payout, when there is one; it says more than `payout_refused`.
    `in_review`: people are asked what becomes of the money, so nothing is promised and nothing need be done.
    """
    if not code:
        return None
    message, action = _hint(code, type_, provider_code)
    if in_review:
        message, action = UNDECIDED.get(code, message), REVIEW
    place = LANGUAGES.index(language)
    return {"code": code, "message": message[place], "next_action": action[place]}


def _hint(code: str, type_: str, provider_code: str) -> Hint:
    if code == "payout_refused" and provider_code in B2C:
        return B2C[provider_code]
    if type_ == Direction.DEPOSIT and code.startswith("mpesa_"):
        return STK.get(code.removeprefix("mpesa_"), MPESA)
    return _TEXTS[type_].get(code, SECOND_LOOK)


def language_of(accept: str) -> str:
    """The best of our languages for an Accept-Language field; English where nothing fits."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")[:20]):
        name, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        language = name.strip().lower().partition("-")[0]
        if language in LANGUAGES and quality > 0:
            wanted.append((-quality, place, language))
    return min(wanted)[2] if wanted else LANGUAGES[0]
