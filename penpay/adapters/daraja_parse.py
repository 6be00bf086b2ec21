"""Daraja's synchronous answers, read: which of them prove that nothing was executed. Pure.

Source: the error table of the Daraja reference. It is open-ended by nature: what is not listed proves nothing.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from penpay.domain.errors import BadInput, GatewayError, NotSent, OutcomeUnknown, Refused
from penpay.domain.mpesa_callbacks import EAT, is_undecided, read_amount, read_time, visible_tail
from penpay.domain.payments import PullRow
from penpay.domain.payout_codes import INITIATOR_FAULTS
from penpay.domain.rail_end import DUPLICATE, RATE_LIMITED, SUBSCRIBER_LOCKED, UNREADABLE, WRONG_CREDENTIALS
from penpay.ports_rails import ReversalAck, StkAck, StkStatus

INVALID_TOKEN = frozenset({"404.001.03", "401.002.01", "400.003.01"})
"""The same fault under three codes: refused before processing, so one resend with a fresh token is safe."""
_UNAUTHORIZED = 401
_TOO_MANY = 429
_REFUSED_ACCESS = "invalid access token"
_REFUSED_PRODUCT = "no apiproduct match"

_REFUSED = frozenset(
    {
        *("400.002.02", "400.002.05", "400.003.02"),  # a field of ours is wrong
        *("404.001.01", "404.002.01", "404.003.01", "404.001.04", "405.001"),  # wrong address, method or header
    }
)
_RATE_LIMITED = frozenset({"500.003.02", "500.003.03"})
_OVERLOADED_CODE = "500.001.1001"
_DUPLICATE_CODE = "500.002.1001"

_SOFT_INITIATOR = ("initiator information is invalid", "security credential is locked", "initiator credential")
_SOFT_RATE_LIMITED = ("spike arrest", "quota violation", "system is busy")
_SOFT_REFUSED = ("bad request", "invalid access token", "invalid shortcode", "merchant does not exist")
"""Texts of a payout's refusal under HTTP 200 that speak of the request and of no payment."""

_DETAIL_MAX = 500
_CODE_MAX = 64
_ID_MAX = 128
_UNFORESEEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
More = ParamSpec("More")
Read = TypeVar("Read")
_PULL_NONE = "1001"
_PULL_SOME = frozenset({"1000"})
"""Beside any row of zeros."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status and body as they came."""

    status: int
    body: bytes

    @property
    def detail(self) -> str:
        """The beginning of the body, as evidence. May hold personal data: store sealed, never log."""
        return self.body[:_DETAIL_MAX].decode(errors="replace")

    def envelope(self) -> Mapping[str, Any] | None:
        """The JSON object of the body, or None."""
        try:
            raw = json.loads(self.body, parse_float=Decimal)
        except (ValueError, RecursionError, InvalidOperation):
            return None
        return raw if type(raw) is dict else None


def _guarded(read: Callable[Concatenate[Answer, More], Read]) -> Callable[Concatenate[Answer, More], Read]:
    """What nobody foresaw is an answer that nobody can read: it is one operation's unknown end, not the rail's."""

    @wraps(read)
    def reader(answer: Answer, /, *args: More.args, **kwargs: More.kwargs) -> Read:
        try:
            return read(answer, *args, **kwargs)
        except _UNFORESEEN as error:
            raise OutcomeUnknown(UNREADABLE, answer.detail) from error

    return reader


@_guarded
def has_invalid_token(answer: Answer) -> bool:
    """True when the access token was refused, and nothing else happened.

    The codes differ by API and the proxy in front of them has texts of its own, or none: its 401 says enough.
    """
    if answer.status == _UNAUTHORIZED:
        return True
    envelope = answer.envelope() or {}
    return _text(envelope.get("errorCode")) in INVALID_TOKEN or _REFUSED_ACCESS in _message(envelope)


@_guarded
def failure(answer: Answer) -> GatewayError:
    """What an answer that is no success proves."""
    envelope = answer.envelope() or {}
    code, message = _code(envelope, "errorCode"), _message(envelope)
    if answer.status == _TOO_MANY:
        return NotSent(RATE_LIMITED, answer.detail)
    if _REFUSED_PRODUCT in message:
        return Refused(code or f"http_{answer.status}", answer.detail)
    if has_invalid_token(answer):
        return NotSent(code or f"http_{answer.status}", answer.detail)
    if code in _RATE_LIMITED or "spike arrest" in message or "quota violation" in message:
        return NotSent(RATE_LIMITED, answer.detail)
    if not code:
        return OutcomeUnknown(f"http_{answer.status}" if answer.status != 200 else UNREADABLE, answer.detail)
    if code in _REFUSED:
        return Refused(code, answer.detail)
    if code == _OVERLOADED_CODE:
        return _overloaded(answer, message)
    if code == _DUPLICATE_CODE and "duplicate" in message:
        return OutcomeUnknown(DUPLICATE, answer.detail)
    return OutcomeUnknown(code, answer.detail)


def _overloaded(answer: Answer, message: str) -> GatewayError:
    """`500.001.1001` stands for several faults; only its message tells which."""
    if "unable to lock subscriber" in message or "already in process" in message:
        return Refused(SUBSCRIBER_LOCKED, answer.detail)
    if "wrong credentials" in message or "merchant does not exist" in message:
        return Refused(WRONG_CREDENTIALS, answer.detail)
    return OutcomeUnknown(_OVERLOADED_CODE, answer.detail)


@_guarded
def access_token(answer: Answer) -> tuple[str, int]:
    """Token and its life in seconds (Daraja writes the number as text). Raises `NotSent`: no operation was sent yet."""
    envelope = answer.envelope()
    token = "" if envelope is None else envelope.get("access_token")
    if answer.status != 200 or envelope is None or type(token) is not str or not token:
        # Wrong consumer credentials are a 400 without any body.
        refused = "token_refused" if answer.status in {400, 401, 403} else "token_unavailable"
        raise NotSent(RATE_LIMITED if answer.status == _TOO_MANY else refused, answer.detail)
    life = _text(envelope.get("expires_in"))
    return token, int(life) if re.fullmatch(r"[0-9]{1,6}", life, re.ASCII) else 0


@_guarded
def accepted(answer: Answer) -> Mapping[str, Any]:
    """The body of an accepted request; raises what any other answer proves.

    A 200 with another ResponseCode was not accepted, but no list of its codes exists: unknown.
    """
    envelope = answer.envelope()
    if answer.status != 200 or envelope is None or "errorCode" in envelope:
        raise failure(answer)
    code = _code(envelope, "ResponseCode")
    if code != "0":
        raise OutcomeUnknown(f"response_code_{code}" if code else UNREADABLE, answer.detail)
    return envelope


@_guarded
def stk_ack(answer: Answer) -> StkAck:
    """Acknowledgement of a push. Accepted is not paid."""
    envelope = accepted(answer)
    return StkAck(_id(answer, envelope, "CheckoutRequestID"), _text(envelope.get("MerchantRequestID")), answer.body)


@_guarded
def stk_status(answer: Answer, checkout_request_id: str) -> StkStatus:
    """Answer of a query. "Being processed" comes as an error and means: not known yet."""
    envelope = answer.envelope() or {}
    message = _text(envelope.get("errorMessage"))
    error = _text(envelope.get("errorCode"))
    if error == _OVERLOADED_CODE and is_undecided(error, message):
        return StkStatus("", message)
    envelope = accepted(answer)
    code = _code(envelope, "ResultCode")
    # It repeats which push it speaks of; what it says of another one decides nothing.
    if not code or _text(envelope.get("CheckoutRequestID")) not in {"", checkout_request_id}:
        raise OutcomeUnknown(UNREADABLE, answer.detail)
    words = _text(envelope.get("ResultDesc"))
    return StkStatus("" if is_undecided(code, words) else code, words)


@_guarded
def conversation_id(answer: Answer) -> str:
    """Conversation id of an accepted request whose result comes later."""
    return _id(answer, accepted(answer), "ConversationID")


@_guarded
def reversal_ack(answer: Answer) -> ReversalAck:
    """Acknowledgement of a Reversal. The second id is only asked by: without it the first has to do."""
    envelope = accepted(answer)
    second = _text(envelope.get("OriginatorConversationID"))
    return ReversalAck(_id(answer, envelope, "ConversationID"), second if len(second) <= _ID_MAX else "")


@_guarded
def payout_conversation_id(answer: Answer) -> str:
    """Conversation id of an accepted payout.

    Raises `Refused` or `NotSent` only for what is known to come before a payout is recorded. That a subscriber is busy
    is not: the payout which keeps them busy may be this very one. A success of HTTP with another ResponseCode refuses
    only when it names a fault of the initiator or of the request.
    """
    envelope = answer.envelope()
    if answer.status == 200 and envelope is not None and "errorCode" not in envelope:
        code = _code(envelope, "ResponseCode")
        if code not in {"", "0"}:
            raise _soft_refusal(answer, code, _text(envelope.get("ResponseDescription")).lower())
    try:
        return conversation_id(answer)
    except Refused as refused:
        if refused.code == SUBSCRIBER_LOCKED:
            raise OutcomeUnknown(SUBSCRIBER_LOCKED, answer.detail) from refused
        raise


def _soft_refusal(answer: Answer, code: str, description: str) -> GatewayError:
    if code in INITIATOR_FAULTS:
        return Refused(code, answer.detail)
    if any(words in description for words in _SOFT_INITIATOR):
        return Refused(WRONG_CREDENTIALS, answer.detail)
    if any(words in description for words in _SOFT_RATE_LIMITED):
        return NotSent(RATE_LIMITED, answer.detail)
    if any(words in description for words in _SOFT_REFUSED):
        return Refused(f"response_code_{code}", answer.detail)
    return OutcomeUnknown(f"response_code_{code}", answer.detail)


@dataclass(frozen=True, slots=True)
class PullPage:
    """One page of the list of payments. `unreadable` holds the entries that are no rows, as text.

    `certain` False: the page came under a code that nobody knows.
    """

    rows: tuple[PullRow, ...] = ()
    unreadable: tuple[str, ...] = ()
    certain: bool = True


@_guarded
def pull_page(answer: Answer, *, since: datetime, until: datetime) -> PullPage:
    """Payments of one page of this period, empty when there are none. Rows come as lists in a list, or plainly.

    Samples differ in the code of a success and in where "none" is said. Money that is listed under a code that nobody
    knows is believed; that nothing is listed under such a code is not.
    """
    envelope = answer.envelope() or {}
    codes = {_code(envelope, key) for key in ("errorCode", "ResponseCode", "responseCode")} - {""}
    entries = _entries(envelope)
    if _PULL_NONE in codes and not entries:
        return PullPage()
    if answer.status != 200 or _code(envelope, "errorCode"):
        raise failure(answer)
    certain = all(code in _PULL_SOME or not code.strip("0") for code in codes)
    if entries is None or not (certain or entries):
        raise OutcomeUnknown(UNREADABLE, answer.detail)
    rows, unreadable = [], []
    for entry in entries:
        try:
            rows.append(_pull_row(entry, since, until))
        except BadInput:
            unreadable.append(repr(entry))
    return PullPage(tuple(rows), tuple(unreadable), certain)


def _entries(envelope: Mapping[str, Any]) -> list[Any] | None:
    """What the list holds, flat; None when there is no list."""
    listed = envelope.get("Response")
    if type(listed) is not list:
        return None
    return [one for entry in listed for one in (entry if type(entry) is list else [entry])]


def _pull_row(row: object, since: datetime, until: datetime) -> PullRow:
    if type(row) is not dict:
        raise BadInput("Response", "a row is not an object")
    fields = {str(key).lower(): value for key, value in row.items()}
    receipt, paid_at = _text(fields.get("transactionid")), _pull_time(_text(fields.get("trxdate")), since, until)
    if not receipt or not receipt.isascii() or len(receipt) > _CODE_MAX or paid_at is None:
        raise BadInput("Response", "a row lacks its receipt or its time")
    return PullRow(
        receipt=receipt,
        reference=_text(fields.get("billreference")),
        amount=read_amount(_text(fields.get("amount"))),
        paid_at=paid_at,
        phone_tail=visible_tail(_text(fields.get("msisdn"))),
    )


def _pull_time(text: str, since: datetime, until: datetime) -> datetime | None:
    """The time of a row of this period. Which zone it means is not documented.

    ISO with a zone is read as it says and anything else as Nairobi's, unless only the other reading is in the period.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return read_time(text)
    try:
        readings = [at.replace(tzinfo=zone).astimezone(UTC) for zone in (at.tzinfo or EAT, EAT if at.tzinfo else UTC)]
    except OverflowError:
        return None
    # Two readings lie hours apart, so it does not matter that a provider's clock is not quite ours.
    return min(readings, key=lambda reading: max(since - reading, reading - until, timedelta(0)))


def _message(envelope: Mapping[str, Any]) -> str:
    """What an error says, in small letters: ours is `errorMessage`, the proxy's is a `fault`."""
    fault = envelope.get("fault")
    words = fault.get("faultstring") if type(fault) is dict else ""
    return f"{_text(envelope.get('errorMessage'))} {_text(words)}".lower()


def _id(answer: Answer, envelope: Mapping[str, Any], key: str) -> str:
    """An id that the provider gave. Without one, or with one that no row holds, an answer is not understood."""
    found = _text(envelope.get(key))
    if not found or len(found) > _ID_MAX:
        raise OutcomeUnknown(UNREADABLE, answer.detail)
    return found


def _code(envelope: Mapping[str, Any], key: str) -> str:
    """A code, cut to what a row holds."""
    return _text(envelope.get(key))[:_CODE_MAX]


def _text(value: object) -> str:
    """Text of a scalar, without what no row can hold. Codes come as numbers or text."""
    if type(value) is str:
        return value.encode(errors="replace").decode().strip()
    return str(value) if type(value) in {int, Decimal} else ""
