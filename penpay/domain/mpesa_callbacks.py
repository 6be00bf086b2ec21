"""Reading what Safaricom posts to our callback URLs. Tolerant in form, strict in meaning, never a float.

Source: Daraja pages for M-Pesa Express and the Result callbacks. Codes come as numbers or text, items as a list or a
single object, values may be missing, phones masked. What contradicts itself is `BadInput`: evidence for a person.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from penpay.domain.errors import BadInput
from penpay.domain.money import Money, kes

PATHS: Mapping[str, str] = {
    "d": "stk",
    "r": "reversal",
    "s": "txstatus",
    "a": "balance",
    "t": "timeout",
    "p": "b2c",
    "c": "c2b",
}
"""Letter in `/cb/<letter>/<token>` → kind of the inbox row. Letters: Safaricom refuses URLs with certain words."""

EAT = timezone(timedelta(hours=3), "EAT")
"""Nairobi's time, without daylight saving: the zone of all times that M-Pesa writes."""

_NOT_FINAL = frozenset({"4999"})
_GOES_ON = ("being processed", "under processing", "still processing")

_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,8})?", re.ASCII)
_RECEIPT = re.compile(r"[A-Z0-9]{6,20}", re.ASCII)
_ID = re.compile(r"[\w.\-]{1,128}", re.ASCII)
_MASKED = re.compile(r"[0-9*+xX# ]*?([0-9]{0,12})", re.ASCII)
_HIDDEN = re.compile(r"[*xX#]", re.ASCII)
_WHOLE = re.compile(r"0*[1-9][0-9]{8,}", re.ASCII)
"""A number of nine digits or more: what is shorter and hides nothing is a code, and nobody's phone."""
_TIMES = (("%Y%m%d%H%M%S", 14), ("%d.%m.%Y %H:%M:%S", 19), ("%Y-%m-%d %H:%M:%S", 19))
COMPLETED = "Completed"
NOT_COMPLETED = frozenset({"Cancelled", "Declined", "Expired", "Failed"})
"""Final verdicts of a status that say that no shillings moved."""
_DESCRIPTION_MAX = 200
_PHONE_TAIL_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StkCallback:
    """Outcome of a push. Code `0` is paid; then `amount` and `receipt` are there unless Safaricom left them out.

    `phone_tail` holds the last digits that were not masked (at most 4, maybe none): compare no more than these.
    """

    checkout_request_id: str
    merchant_request_id: str
    result_code: str
    result_desc: str
    amount: Money | None = None
    receipt: str = ""
    paid_at: datetime | None = None
    phone_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCallback:
    """A `Result` of Reversal, TransactionStatus, AccountBalance or B2C. A `transaction_id` proves no payment.

    `parameters` may hold a key twice (`DebitPartyName`) or without a value (empty text).
    """

    result_type: str
    result_code: str
    result_desc: str
    conversation_id: str
    originator_conversation_id: str
    transaction_id: str
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def value(self, key: str) -> str:
        """First non-empty value of a parameter, or empty."""
        return next(filter(None, self.parameters.get(key, ())), "")

    @property
    def transaction_status(self) -> str:
        """Verdict of TransactionStatus: `Completed`, `Cancelled`, `Declined` and `Expired` are final."""
        return self.value("TransactionStatus")

    @property
    def amount(self) -> Money | None:
        """The amount that the result speaks of, when it names one."""
        text = self.value("Amount") or self.value("TransactionAmount")
        return read_amount(text) if text else None

    @property
    def receiver(self) -> str:
        """Who was paid, as `254712345678 - JOHN DOE`; empty when nobody is named.

        A TransactionStatus names the paying party and the paid one, in Daraja's sample both as `DebitPartyName`.
        """
        _, *second = self.parameters.get("DebitPartyName", ("",))
        return self.value("ReceiverPartyPublicName") or self.value("CreditPartyName") or "".join(second[:1])

    @property
    def receipt(self) -> str:
        """M-Pesa receipt of the payment that was asked about or made."""
        return self.value("ReceiptNo") or self.value("TransactionReceipt") or self.transaction_id


def parse_stk_callback(body: bytes) -> StkCallback:
    """Read the callback of a push; raise `BadInput` when it is none or contradicts itself."""
    callback = _object(_object(_json(body), "Body"), "stkCallback")
    items = _pairs(_optional_object(callback, "CallbackMetadata").get("Item"), "Name")
    amount, receipt = _only(items, "Amount"), _only(items, "MpesaReceiptNumber")
    if receipt and not _RECEIPT.fullmatch(receipt):
        raise BadInput("MpesaReceiptNumber", "not a receipt")
    return StkCallback(
        checkout_request_id=_identifier(callback, "CheckoutRequestID"),
        merchant_request_id=_identifier(callback, "MerchantRequestID", required=False),
        result_code=_code(callback, "ResultCode"),
        result_desc=_description(callback),
        amount=read_amount(amount) if amount else None,
        receipt=receipt,
        paid_at=read_time(_only(items, "TransactionDate")),
        phone_tail=visible_tail(_only(items, "PhoneNumber")),
    )


def parse_result(body: bytes) -> ResultCallback:
    """Read a `Result` body; raise `BadInput` when it is none."""
    result = _object(_json(body), "Result")
    parameters = _optional_object(result, "ResultParameters").get("ResultParameter")
    return ResultCallback(
        result_type=_code(result, "ResultType", default="0"),
        result_code=_code(result, "ResultCode"),
        result_desc=_description(result),
        conversation_id=_identifier(result, "ConversationID", required=False),
        # Only compared with ours: in whatever form it comes, it is no reason to lose a result.
        originator_conversation_id=_text(result.get("OriginatorConversationID")),
        transaction_id=_identifier(result, "TransactionID", required=False),
        parameters=_pairs(parameters, "Key"),
    )


def account_balances(packed: str) -> dict[str, Money | None]:
    """Available money per account of an AccountBalance result: `name|KES|current|available|reserved|uncleared&…`.

    Accounts in another currency or below zero (charges) are left out. None: one that is named and cannot be read.
    """
    found: dict[str, Money | None] = {}
    for account in filter(None, packed.split("&")):
        name, currency, _, available, *_ = (*(field.strip() for field in account.split("|")), "", "", "")
        if currency not in {"KES", ""} or available.startswith("-"):
            continue
        try:
            found[name] = read_amount(available, zero=True)
        except BadInput:
            found[name] = None
    return found


def is_undecided(code: str, words: str) -> bool:
    """Whether an answer says that a payment is being processed: no verdict, whichever code it comes under but success.

    The code is documented by hearsay only and the text of one error varies, so either is enough.
    """
    return code in _NOT_FINAL or (code != "0" and any(said in words.lower() for said in _GOES_ON))


def read_amount(text: str, *, zero: bool = False) -> Money:
    """Shillings from a number's text, exactly; raise `BadInput` for signs, exponents, fractions of a cent, zero."""
    if not _AMOUNT.fullmatch(text):
        raise BadInput("Amount", "not an amount")
    cents = Decimal(text) * 100
    if cents != cents.to_integral_value() or (cents == 0 and not zero):
        raise BadInput("Amount", "not an amount of whole cents above zero")
    return kes(int(cents))


def read_time(text: str) -> datetime | None:
    """A time of M-Pesa (Nairobi) as UTC; None when it is missing or unreadable, for no money depends on it alone."""
    for pattern, length in _TIMES:
        if len(text) == length:
            try:
                return datetime.strptime(text, pattern).replace(tzinfo=EAT).astimezone(UTC)
            except (ValueError, OverflowError):
                continue
    return None


def visible_tail(phone: str) -> str:
    """Last digits of a phone that the provider did not mask, at most 4; empty for hashes and what is no phone."""
    match = _MASKED.fullmatch(phone)
    if match is None or not (_HIDDEN.search(phone) or _WHOLE.fullmatch(phone.strip(" +").replace(" ", ""))):
        return ""
    return match.group(1)[-_PHONE_TAIL_MAX:]


def may_be_of(tail: str, mask: str) -> bool:
    """Whether visible last digits may be those of the phone behind a mask of ours. Digits nobody sees contradict none.

    Source: faults.md F33. Ours ends with three digits.
    """
    return not tail or tail.endswith(mask[-3:]) or mask.endswith(tail)


def _json(body: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(
            _decoded(body), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unambiguous
        )
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise BadInput("body", "not JSON") from error
    if type(raw) is not dict:
        raise BadInput("body", "not an object")
    return raw


def _decoded(body: bytes) -> str | bytes:
    """Names of people come in UTF-8 as they should, or in Latin-1; nothing that we compare differs between them."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose key comes twice with different values says nothing: two readers would differ."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise ValueError(key)
    return found


def _object(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    child = parent.get(key)
    if type(child) is not dict:
        raise BadInput(key, "not an object")
    return child


def _optional_object(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {} if _is_absent(parent.get(key)) else _object(parent, key)


def _is_absent(value: object) -> bool:
    """Whether a container is not there: some gateways write an empty text or list for one without members."""
    return value is None or value in ("", [])


def _pairs(items: object, name_key: str) -> dict[str, tuple[str, ...]]:
    """Name → values as text, from a list of items, a single item, or nothing."""
    rows: list[Any] = [] if _is_absent(items) else items if type(items) is list else [items]
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if type(row) is not dict or type(row.get(name_key)) is not str:
            raise BadInput(name_key, "an item has no name")
        name = row[name_key]
        found[name] = (*found.get(name, ()), _text(row.get("Value")))
    return found


def _only(items: Mapping[str, tuple[str, ...]], name: str) -> str:
    values = set(filter(None, items.get(name, ())))
    if len(values) > 1:
        raise BadInput(name, "comes with two values")
    return values.pop() if values else ""


def _text(value: object) -> str:
    """Text of a scalar; nested or missing values are empty. A decimal keeps its digits, without an exponent."""
    if type(value) is str:
        return value.strip()
    if type(value) is int:
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if -32 < value.adjusted() < 32 else str(value)
    return ""


def _code(parent: Mapping[str, Any], key: str, *, default: str = "") -> str:
    value = parent.get(key)
    text = _text(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        text = text.partition(".")[0]
    text = text or default
    if not text or len(text) > 32:
        raise BadInput(key, "not a code")
    return text


def _description(parent: Mapping[str, Any]) -> str:
    return _text(parent.get("ResultDesc"))[:_DESCRIPTION_MAX]


def _identifier(parent: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    text = _text(parent.get(key))
    if (required or text) and not _ID.fullmatch(text):
        raise BadInput(key, "not an identifier")
    return text
