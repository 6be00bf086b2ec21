"""Deriv v3 as requests and frames, without I/O: what is sent, what an answer means, what a refusal proves.

Source: the Deriv reference, parts A2 to A12. Amounts are JSON numbers on this wire: written from whole cents and read
as decimals, never through a float.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from penpay.domain.deriv_numbers import cents, epoch, number
from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, Money
from penpay.domain.rail_end import AGENT_FUNDS
from penpay.domain.statement import StatementPage, StatementRow, page_of, signed_by

Request = Mapping[str, "str | int | Money | Mapping[str, str | Money]"]
"""One call: the member named after the method, and its arguments. `req_id` is added when it is written."""

STATEMENT_PAGE = 999
AUTHORIZE_PAYMENTS = "payments"
"""The scope without which a token looks valid and cannot move money."""

_DESCRIPTION = re.compile(r"[0-9A-Za-z .,'-]{0,250}", re.ASCII)
_LOGINID = re.compile(r"[A-Za-z]+[0-9]+", re.ASCII)
_CODE = re.compile(r"\w{8,128}", re.ASCII)
_ERROR_CODE = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_OUR_SHORTAGE = re.compile(r"insufficient|not enough (?:funds|money|balance)", re.IGNORECASE)
TOKEN_REFUSED = frozenset({"InvalidToken", "AuthorizationRequired", "PermissionDenied", "DisabledClient"})
"""Errors about the token. No other one, a rate limit say, is a reason to ask for another token."""
_AUTH = TOKEN_REFUSED | {"InvalidAppID"}
_RATE = frozenset({"RateLimit"})
_FINAL = frozenset({"InputValidationFailed", "PaymentAgentTransferError"})
_FINAL_PREFIX = "PaymentAgentWithdraw"

NOT_SHOWN = frozenset({"UnrecognisedRequest", "PermissionDenied"})
"""Errors of a read that asking again does not cure: Deriv has no such call, or this token may not see it."""

SITE_STATUSES = frozenset({"up", "down", "updating"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proven refusal: nothing was executed. `hold`: for a cause of our side, worth another attempt later."""

    code: str
    hold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message of Deriv. `members` is the whole object; `error_code` is empty for a success."""

    msg_type: str
    req_id: int | None
    members: Mapping[str, Any] = field(repr=False)
    error_code: str = ""
    error_message: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a socket acts for after `authorize`."""

    loginid: str
    currency: str
    scopes: frozenset[str]
    is_virtual: bool
    fullname: str = field(repr=False)
    email: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AccountTransaction:
    """A message of the `transaction` stream: no counterparty, no remark. `amount` is signed."""

    id: int
    action: str
    amount: Money
    balance_after: Money
    at: datetime


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer that was executed, or passed its dry run (`transaction_id` 0)."""

    transaction_id: int
    loginid: str


# --- requests ---------------------------------------------------------------------------------------------------


def authorize(token: str) -> Request:
    """Act for the owner of a token on this socket."""
    return {"authorize": token}


def ping() -> Request:
    """Ask for a sign of life."""
    return {"ping": 1}


def server_time() -> Request:
    """Deriv's clock, for watermarks."""
    return {"time": 1}


def balance_now() -> Request:
    """The account's balance."""
    return {"balance": 1}


def balance_stream() -> Request:
    """The account's balance, now and whenever it changes."""
    return {"balance": 1, "subscribe": 1}


def transaction_stream() -> Request:
    """Every movement of the account from now on."""
    return {"transaction": 1, "subscribe": 1}


def site_status_stream() -> Request:
    """Whether the site is up; on `updating` it drops every socket within a minute."""
    return {"website_status": 1, "subscribe": 1}


def statement(*, since: datetime | None, offset: int, limit: int = STATEMENT_PAGE) -> Request:
    """Movements of the account, newest first, with their descriptions. All kinds: balances are checked for gaps."""
    request: dict[str, str | int | Money] = {"statement": 1, "description": 1, "limit": limit, "offset": offset}
    if since is not None:
        request["date_from"] = int(since.timestamp())
    return request


def transfer(*, amount: Money, loginid: str, reference: str, dry_run: bool = False) -> Request:
    """Pay a customer from the agent's account. There is no idempotency key: never repeat it without proof."""
    assert amount.currency is Currency.USD
    assert amount.minor > 0
    assert _LOGINID.fullmatch(loginid)
    assert _DESCRIPTION.fullmatch(reference), "Deriv takes letters, digits, space and . , ' - in a description"
    request: dict[str, str | int | Money] = {
        "paymentagent_transfer": 1,
        "amount": amount,
        "currency": amount.currency.value,
        "transfer_to": loginid,
        "description": reference,
    }
    return {**request, "dry_run": 1} if dry_run else request


def withdraw(*, amount: Money, agent: str, code: str, reference: str) -> Request:
    """Pay the agent from the account that this socket acts for, with the code that was mailed for it.

    There is no idempotency key, and the code works once: never repeat it without proof.
    """
    assert amount.currency is Currency.USD
    assert amount.minor > 0
    assert _LOGINID.fullmatch(agent)
    assert _DESCRIPTION.fullmatch(reference), "Deriv takes letters, digits, space and . , ' - in a description"
    return {
        "paymentagent_withdraw": 1,
        "amount": amount,
        "currency": amount.currency.value,
        "paymentagent_loginid": agent,
        "verification_code": code,
        "description": reference,
    }


def is_code(text: str) -> bool:
    """Whether a text can be a verification code at all."""
    return _CODE.fullmatch(text) is not None


def mail_code(*, email: str, agent: str, amount: Money) -> Request:
    """Have Deriv mail a code for a withdrawal through the agent. Needs no authorization."""
    about: dict[str, str | Money] = {"pa_loginid": agent, "pa_amount": amount, "pa_currency": amount.currency.value}
    return {"verify_email": email, "type": "paymentagent_withdraw", "url_parameters": about}


def encode(request: Request, req_id: int) -> str:
    """The text frame. Money becomes a number with exactly two digits after the dot."""
    members = [f"{json.dumps(name)}:{_json_value(value)}" for name, value in request.items()]
    return "{" + ",".join([*members, f'"req_id":{req_id}']) + "}"


def method(request: Request) -> str:
    """Name of the call, which Deriv repeats as `msg_type`."""
    return next(iter(request))


def _json_value(value: str | int | Money | Mapping[str, str | Money]) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{_json_value(inner)}" for name, inner in value.items()) + "}"
    return value.text() if isinstance(value, Money) else json.dumps(value)


# --- frames -----------------------------------------------------------------------------------------------------


def decode(text: str) -> Frame:
    """Read a frame; raise `BadInput` for what is no message of Deriv."""
    try:
        raw = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise BadInput("frame", "not JSON") from error
    if type(raw) is not dict:
        raise BadInput("frame", "not an object")
    fault, req_id = raw.get("error"), raw.get("req_id")
    frame = Frame(
        msg_type=_text(raw.get("msg_type")),
        req_id=req_id if type(req_id) is int else None,
        members=raw,
        error_code="" if fault is None else _error_code(fault),
        error_message=_text(_members(fault).get("message")),
    )
    if not frame.msg_type:
        raise BadInput("msg_type", "missing")
    return frame


def refusal(frame: Frame) -> Refusal | None:
    """What an error proves: a refusal before execution, or nothing (None): then the outcome is unknown."""
    code = frame.error_code
    if code in _RATE or code in _AUTH:
        return Refusal(code, hold=True)
    if code == "PaymentAgentTransferError" and _OUR_SHORTAGE.search(frame.error_message):
        return Refusal(AGENT_FUNDS, hold=True)
    if code in _FINAL or code.startswith(_FINAL_PREFIX):
        return Refusal(code, hold=False)
    return None


def asks_to_wait(frame: Frame) -> bool:
    """Whether an error says: too often."""
    return frame.error_code in _RATE or frame.error_code.endswith("RateLimitExceeded")


def may_ask_again_at(frame: Frame) -> datetime | None:
    """When an error says that the same may be asked again; None also when what it says is no time."""
    fault = _members(frame.members.get("error"))
    for where in ("details", "detail"):
        with suppress(BadInput):
            return epoch(_members(fault.get(where)).get("next_request_at"), "next_request_at")
    return None


def identity(frame: Frame) -> Identity:
    """Answer of `authorize`."""
    told = _object(frame, "authorize")
    scopes = told.get("scopes")
    if type(scopes) is not list:
        raise BadInput("scopes", "not a list")
    return Identity(
        loginid=_text(told.get("loginid")),
        currency=_text(told.get("currency")),
        scopes=frozenset(map(_text, scopes)),
        is_virtual=told.get("is_virtual", 0) not in (0, False),
        fullname=_text(told.get("fullname")),
        email=_text(told.get("email")),
    )


def site_status(frame: Frame) -> str:
    """One of `SITE_STATUSES`, a word that Deriv added since, or empty when the message is about something else."""
    return _text(_object(frame, "website_status").get("site_status"))


def balance(frame: Frame) -> tuple[str, Money]:
    """Account and its balance."""
    told = _object(frame, "balance")
    return _text(told.get("loginid")), _money(told.get("balance"), told.get("currency"))


def account_transaction(frame: Frame) -> AccountTransaction | None:
    """A movement of the account; None for the stream's first answer, which holds only the subscription and its id."""
    told = frame.members.get("transaction", {})
    if isinstance(told, dict) and told.keys() <= {"id"}:
        return None
    told = _object(frame, "transaction")
    action = _text(told.get("action"))
    return AccountTransaction(
        id=number(told.get("transaction_id"), "transaction_id"),
        action=action,
        amount=signed_by(action, _money(told.get("amount"), told.get("currency"))),
        balance_after=_money(told.get("balance"), told.get("currency")),
        at=epoch(told.get("transaction_time"), "transaction_time"),
    )


def told_time(frame: Frame) -> datetime:
    """Answer of `time`."""
    return epoch(frame.members.get("time"), "time")


def transferred(frame: Frame, *, dry_run: bool = False) -> Transferred:
    """Answer of a transfer, or of its `dry_run`: 1 executed, 2 passed its dry run.

    Where money was to move, only a 1 with the number of the movement says that it did.
    """
    result = frame.members.get("paymentagent_transfer")
    if result != 1 and not (dry_run and result == 2):
        raise BadInput("paymentagent_transfer", "not executed")
    moved_by = 0 if dry_run else number(frame.members.get("transaction_id"), "transaction_id")
    return Transferred(moved_by, _text(frame.members.get("client_to_loginid")))


def withdrawn(frame: Frame) -> int:
    """Deriv's id of a withdrawal that was executed: of the movement of the customer's account."""
    if frame.members.get("paymentagent_withdraw") != 1:
        raise BadInput("paymentagent_withdraw", "not executed")
    return number(frame.members.get("transaction_id"), "transaction_id")


def mailed(frame: Frame) -> bool:
    """Whether Deriv took the order to mail a code."""
    return frame.members.get("verify_email") == 1


def statement_page(frame: Frame, currency: Currency, account: str = "") -> StatementPage:
    """One page, as it came: newest first. `currency` and login are the account's, rows name none."""
    listed = _object(frame, "statement").get("transactions")
    if type(listed) is not list:
        raise BadInput("transactions", "not a list")
    return page_of([_statement_row(row, currency) for row in listed], account)


def statement_rows(frame: Frame, currency: Currency, account: str = "") -> Sequence[StatementRow]:
    """Rows of a page that must be read to the last: the newest says where the account stands."""
    page = statement_page(frame, currency, account)
    if len(page.rows) < page.listed:
        raise BadInput("transactions", "a row cannot be read")
    return page.rows


def _statement_row(row: object, currency: Currency) -> StatementRow | None:
    """None when nobody can read it."""
    row = _members(row)
    try:
        return StatementRow(
            id=number(row.get("transaction_id"), "transaction_id"),
            at=epoch(row.get("transaction_time"), "transaction_time"),
            action=_text(row.get("action_type")),
            amount=_money(row.get("amount"), currency.value),
            balance_after=_money(row.get("balance_after"), currency.value),
            longcode=_text(row.get("longcode")),
            payer=_login(row.get("from")),
            payee=_login(row.get("to")),
        )
    except BadInput:
        return None


def _login(side: object) -> str:
    return _text(side.get("loginid")) if isinstance(side, dict) else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _error_code(fault: object) -> str:
    """Stored, logged and shown as it came, so only a word of the length that columns hold is taken for one."""
    code = _text(_members(fault).get("code"))
    return code if _ERROR_CODE.fullmatch(code) else "error_without_code"


def _members(value: object) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def _object(frame: Frame, name: str) -> Mapping[str, Any]:
    found = frame.members.get(name)
    if type(found) is not dict:
        raise BadInput(name, "missing")
    return found


def _text(value: object) -> str:
    return value if type(value) is str else ""


def _money(value: object, currency: object) -> Money:
    if type(currency) is not str or currency not in Currency.__members__:
        raise BadInput("currency", "not a currency of PenPay")
    return Money(cents(value), Currency(currency))
