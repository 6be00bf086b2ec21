"""Who a customer is: phone numbers, e-mail addresses, passwords, PINs and names. Pure rules."""

import re
import unicodedata
from collections.abc import Container
from datetime import date, timedelta
from itertools import pairwise

from penpay.domain.errors import BadInput

EMAIL_MAX = 254
"""Longest address that mail can carry (RFC 5321)."""
PASSWORD_MIN = 8
PASSWORD_MAX = 128
NAME_MAX = 120
CODE_DIGITS = 6
PIN_TRIES_MAX = 5
PIN_LOCK = timedelta(hours=24)
"""After that many wrong tries in a row nobody may try for that long, not even with the right PIN."""
CODE_ATTEMPTS_MAX = 5
CODE_CANDIDATES_MAX = 5
"""Unverified accounts with one phone that a code may still belong to; older ones must ask for a new code."""

_PHONE = re.compile(r"(?:\+?254|0)([17][0-9]{8})", re.ASCII)
_WRITTEN = re.compile(r"(?<![\w.])(?:\+?254|0)([17][0-9]{8})(?!\w)", re.ASCII)
_WHOLE = re.compile(r"(?<![0-9A-Za-z])(?:\+?254|0)[17][0-9]{8}(?![0-9A-Za-z])")
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_PIN = re.compile(r"[0-9]{6}", re.ASCII)
_COMMON_WORDS = """
    penpay12 penpay123 penpay1234 nairobi1 nairobi123 kenya123 kenya254 kenya2022 safaricom safaricom1
    mpesa123 mpesa1234 harambee jesuschrist jesus123 godisgood blessing changeme default1 secret123 chelsea1
    arsenal1 p@ssw0rd p@ssword welcome123 admin123 letmein123
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def phone_e164(text: str, *, field: str = "phone") -> str:
    """A Kenyan mobile number as E.164 digits without plus (2547… or 2541…), from the forms that people write.

    Raises `BadInput`: M-Pesa reaches no other numbers.
    """
    found = _PHONE.fullmatch(text.translate(_SEPARATORS))
    if found is None:
        raise BadInput(field, "must be a Kenyan mobile number, for example 254712345678")
    return "254" + found[1]


_SEPARATORS = str.maketrans("", "", " -()")


def mask_phone(phone: str) -> str:
    """`2547****678`: enough for its owner to recognise, too little for others."""
    return f"{phone[:4]}****{phone[-3:]}"


def mask_phones_in(text: str) -> str:
    """A text in which every Kenyan mobile number is masked."""
    return _WRITTEN.sub(lambda found: mask_phone(f"254{found[1]}"), text)


NO_PHONE = "must hold no phone number: chains that everybody may read keep it for ever"


def holds_phone(text: str) -> bool:
    """Whether a whole mobile number stands in a text, as invariant i31 finds it."""
    return _WHOLE.search(text) is not None


def email_address(text: str, *, field: str = "email") -> str:
    """An address in lower case. Raises `BadInput`."""
    if len(text) > EMAIL_MAX or not _EMAIL.fullmatch(text):
        raise BadInput(field, "must be an e-mail address")
    return text.lower()


def mask_email(email: str) -> str:
    """`w***@example.com`."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}***@{domain}"


def password_problem(password: str, *, email: str, phone: str = "", common: Container[str] = ()) -> str:
    """Why this cannot be a password, or an empty string. No rules of composition (NIST 800-63B).

    `common` are passwords of public leaks, in lower case; what Kenyans try first is known here.
    """
    folded = password.casefold()
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        return f"must have {PASSWORD_MIN} to {PASSWORD_MAX} characters"
    if folded in _COMMON or folded in common or len(set(folded)) < 3:
        return "is one of the passwords that everybody tries first"
    if folded in {email.casefold(), email.partition("@")[0].casefold()} or (phone and phone[3:] in password):
        return "must not be made of the e-mail address or phone number"
    return ""


def pin_problem(pin: str, *, phone: str = "") -> str:
    """Why this cannot be a PIN, or an empty string: six digits that nobody tries first, neither a run nor a date."""
    if not _PIN.fullmatch(pin):
        return "must be six digits"
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if len(steps) == 1 or len(set(pin)) < 3 or pin[:3] in {pin[3:], pin[:2:-1]} or pin in phone:
        return "is too easy to guess"
    if _is_like_a_date(pin):
        return "must not look like a date"
    return ""


def _is_like_a_date(pin: str) -> bool:
    """Day, month and year in any usual order, or a month with its full year."""
    first, second, third = pin[:2], pin[2:4], pin[4:]
    orders = ((first, second, third), (second, first, third), (third, second, first))
    month_of_year = ((first, pin[2:]), (third, pin[:4]))
    return any(
        _is_date(day, month, f"20{year}") or _is_date(day, month, f"19{year}") for day, month, year in orders
    ) or any(1 <= int(month) <= 12 and year[:2] in {"19", "20"} for month, year in month_of_year)


def _is_date(day: str, month: str, year: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_JOINERS = "\u200c\u200d"
"""Written inside words of Persian and of scripts of India; seen as the form of their neighbours."""
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters of Korean that show nothing."""


def is_readable_name(name: str) -> bool:
    """Whether a name has a letter, and nothing that nobody sees or that no script has."""
    kinds = [unicodedata.category(one) for one in name]
    if not any(kind[0] == "L" for kind in kinds):
        return False
    for place, one in enumerate(name):
        if one in _JOINERS:
            # A mark belongs to the letter that it follows.
            before, after = kinds[:place][-1:], kinds[place + 1 : place + 2]
            if not before or before[0][0] not in "LM" or not after or after[0][0] != "L":
                return False
        elif kinds[place] in _UNSEEN or one in _FILLERS:
            return False
    return True


def name_tokens(name: str) -> frozenset[str]:
    """The words of a name without accents, case, order and single letters."""
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return frozenset(word for word in re.split(r"[^\w]+|[\d_]+", bare.casefold().replace("'", "")) if len(word) > 1)


def names_match(ours: str, theirs: str) -> bool:
    """Whether two records name the same person: two words shared, or every word of the shorter name (decisions, 7)."""
    left, right = name_tokens(ours), name_tokens(theirs)
    shared = len(left & right)
    return shared >= 2 or 0 < min(len(left), len(right)) == shared
