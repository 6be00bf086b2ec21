"""What Daraja accepts in each request. The first bad field is named in `400.002.02 Bad Request - Invalid <Field>`.

Unknown fields are refused too: the portal does not promise that, but a misspelt field must not
pass here and fail there.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

Check = Callable[[object], bool]
Rules = Mapping[str, tuple[Check, bool]]

_FORBIDDEN_IN_URLS = ("mpesa", "m-pesa", "safaricom", "exec", "exe", "cmd", "sql", "query")
_FORBIDDEN_HOSTS = ("ngrok", "mockbin", "requestbin")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")


def text_of(value: object) -> str:
    """Daraja's samples write numbers as JSON numbers or as strings; both are read as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)


def pattern(expression: str) -> Check:
    """Digits or text of a given form."""
    compiled = re.compile(expression, re.ASCII)
    return lambda value: compiled.fullmatch(text_of(value)) is not None


def text(most: int, least: int = 1) -> Check:
    """A string within these lengths, both included."""
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def one_of(*words: str) -> Check:
    """Exactly one of these words."""
    return lambda value: value in words


def whole_amount(least: int, most: int) -> Check:
    """Whole shillings: an integer, or its digits as a string. 10.5, 10.0 and "10.00" are refused."""

    def check(value: object) -> bool:
        digits = text_of(value)
        return digits.isascii() and digits.isdigit() and least <= int(digits) <= most

    return check


def timestamp(value: object) -> bool:
    """A valid YYYYMMDDHHmmss."""
    digits = text_of(value)
    if len(digits) != 14 or not digits.isdigit():
        return False
    try:
        datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - only its validity is asked
    except ValueError:
        return False
    return True


def plain_time(value: object) -> bool:
    """A valid YYYY-MM-DD HH:MM:SS."""
    try:
        datetime.strptime(text_of(value), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - only its validity is asked
    except ValueError:
        return False
    return True


def callback_url(value: object) -> bool:
    """A URL that Safaricom would call: none of the filtered words in any case, no tunnel."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return False
    lowered = value.lower()
    return not any(word in lowered for word in _FORBIDDEN_IN_URLS + _FORBIDDEN_HOSTS)


MSISDN = pattern(r"254[17]\d{8}")
SHORTCODE = pattern(r"\d{5,7}")
MOST_KES = 250_000

STK: Rules = {
    "BusinessShortCode": (SHORTCODE, True),
    "Password": (text(512), True),
    "Timestamp": (timestamp, True),
    "TransactionType": (one_of("CustomerPayBillOnline", "CustomerBuyGoodsOnline"), True),
    "Amount": (whole_amount(1, MOST_KES), True),
    "PartyA": (MSISDN, True),
    "PartyB": (SHORTCODE, True),
    "PhoneNumber": (MSISDN, True),
    "CallBackURL": (callback_url, True),
    "AccountReference": (pattern(r"[0-9A-Za-z]{1,12}"), True),
    "TransactionDesc": (text(13, 0), False),
}
STK_QUERY: Rules = {
    "BusinessShortCode": (SHORTCODE, True),
    "Password": (text(512), True),
    "Timestamp": (timestamp, True),
    "CheckoutRequestID": (text(64), True),
}
_INITIATOR: Rules = {
    "Initiator": (text(64), True),
    "SecurityCredential": (text(1024), True),
}
_ASYNC: Rules = {
    "ResultURL": (callback_url, True),
    "QueueTimeOutURL": (callback_url, True),
    "Remarks": (text(100, 2), True),
}
REVERSAL: Rules = {
    **_INITIATOR,
    "CommandID": (one_of("TransactionReversal"), True),
    "TransactionID": (pattern(r"[0-9A-Za-z]{8,20}"), True),
    "Amount": (whole_amount(1, MOST_KES), True),
    "ReceiverParty": (SHORTCODE, True),
    "RecieverIdentifierType": (pattern("11"), True),
    **_ASYNC,
}
STATUS: Rules = {
    **_INITIATOR,
    "CommandID": (one_of("TransactionStatusQuery"), True),
    "TransactionID": (pattern(r"[0-9A-Za-z]{0,20}"), False),
    "OriginalConversationID": (text(128, 0), False),
    "PartyA": (SHORTCODE, True),
    "IdentifierType": (pattern("4"), True),
    **_ASYNC,
    "Occasion": (text(100, 0), False),
}
BALANCE: Rules = {
    **_INITIATOR,
    "CommandID": (one_of("AccountBalance"), True),
    "PartyA": (SHORTCODE, True),
    "IdentifierType": (pattern("4"), True),
    **_ASYNC,
}
PULL_REGISTER: Rules = {
    "ShortCode": (SHORTCODE, True),
    "RequestType": (one_of("Pull", "pull"), True),
    "NominatedNumber": (MSISDN, True),
    "CallBackURL": (callback_url, True),
}
PULL_QUERY: Rules = {
    "ShortCode": (SHORTCODE, True),
    "StartDate": (plain_time, True),
    "EndDate": (plain_time, True),
    "OffSetValue": (pattern(r"\d{1,9}"), True),
}
B2C: Rules = {
    "OriginatorConversationID": (pattern(r"[0-9A-Za-z_\-]{1,128}"), True),
    "InitiatorName": (text(64), True),
    "SecurityCredential": (text(1024), True),
    "CommandID": (one_of("SalaryPayment", "BusinessPayment", "PromotionPayment"), True),
    "Amount": (whole_amount(1, 10_000_000), True),
    "PartyA": (SHORTCODE, True),
    "PartyB": (MSISDN, True),
    **_ASYNC,
    "Occassion": (text(100, 0), False),
}


def first_bad_field(body: Mapping[str, object], rules: Rules) -> str | None:
    """The first field that is missing, wrong or unknown; None when the request may pass."""
    for name, (check, mandatory) in rules.items():
        if name not in body:
            if mandatory:
                return name
        elif not check(body[name]):
            return name
    return next((name for name in body if name not in rules), None)
