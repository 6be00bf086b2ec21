"""The v3 requests, field by field. An unknown field, a wrong type or a wrong pattern fails validation."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[Any], bool]


def _pattern(expression: str) -> Check:
    compiled = re.compile(expression, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _integer(least: int, most: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: Any) -> bool:
    """A JSON number; a string of digits is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one(*allowed: int | str) -> Check:
    return lambda value: not isinstance(value, bool) and value in allowed


_ONE = _one(1)
_FLAG = _one(0, 1)
_EPOCH = _integer(0, 2**53)
_TOKEN = _pattern(r"[\w\-]{1,128}")
_LOGIN = _pattern(r"[A-Za-z]+[0-9]+")
_CURRENCY = _pattern(r"[a-zA-Z0-9]{2,20}")
_DESCRIPTION = _pattern(r"[0-9A-Za-z .,'-]{0,250}")
_STREAMS = (
    "balance",
    "candles",
    "cashier_payments",
    "p2p_advert",
    "p2p_advertiser",
    "p2p_order",
    "proposal",
    "proposal_open_contract",
    "ticks",
    "transaction",
    "trading_platform_asset_listing",
    "website_status",
    "crypto_estimations",
)


def _tokens(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 25 and all(_TOKEN(item) for item in value)


def _streams(value: Any) -> bool:
    return all(item in _STREAMS for item in value) if isinstance(value, list) else value in _STREAMS


def _url_parameters(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    rules: Mapping[str, Check] = {
        "pa_loginid": _LOGIN,
        "pa_amount": _number,
        "pa_currency": _CURRENCY,
        "pa_remarks": lambda text: isinstance(text, str) and len(text) <= 100,
        "redirect_to": _integer(1, 100),
    }
    return all(name in rules and rules[name](item) for name, item in value.items())


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its fields, which of them are mandatory, and the scopes of which one is needed."""

    fields: Mapping[str, Check]
    mandatory: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


_READ = ("read", "trading_information")
_MONEY: Mapping[str, Check] = {
    "amount": _number,
    "currency": _CURRENCY,
    "description": _DESCRIPTION,
    "dry_run": _FLAG,
    "loginid": _LOGIN,
}

CALLS: Mapping[str, Call] = {
    "authorize": Call({"authorize": _TOKEN, "tokens": _tokens, "add_to_login_history": _FLAG}),
    "logout": Call({"logout": _ONE, "loginid": _LOGIN}),
    "ping": Call({"ping": _ONE}),
    "time": Call({"time": _ONE}),
    "website_status": Call({"website_status": _ONE, "subscribe": _FLAG}),
    "balance": Call(
        {
            "balance": _ONE,
            "account": lambda value: value in ("current", "all") or _LOGIN(value),
            "subscribe": _FLAG,
            "loginid": _LOGIN,
        },
        scopes=_READ,
    ),
    "transaction": Call({"transaction": _ONE, "subscribe": _ONE, "loginid": _LOGIN}, ("subscribe",), _READ),
    "statement": Call(
        {
            "statement": _ONE,
            "action_type": _one(
                "buy",
                "sell",
                "deposit",
                "withdrawal",
                "hold",
                "release",
                "adjustment",
                "virtual_credit",
                "transfer",
            ),
            "date_from": _EPOCH,
            "date_to": _EPOCH,
            "description": _FLAG,
            "limit": _integer(0, 999),
            "offset": _integer(0, 2**31),
            "loginid": _LOGIN,
        },
        scopes=_READ,
    ),
    "get_limits": Call({"get_limits": _ONE, "loginid": _LOGIN}, scopes=("read",)),
    "forget": Call({"forget": _pattern(r"[\w-]{32,128}")}),
    "forget_all": Call({"forget_all": _streams}),
    "paymentagent_list": Call(
        {"paymentagent_list": _pattern(r"[a-z]{2}"), "currency": _CURRENCY, "loginid": _LOGIN},
    ),
    "paymentagent_transfer": Call(
        {"paymentagent_transfer": _ONE, "transfer_to": _LOGIN, **_MONEY},
        ("amount", "currency", "transfer_to"),
        ("payments",),
    ),
    "paymentagent_withdraw": Call(
        {
            "paymentagent_withdraw": _ONE,
            "paymentagent_loginid": _LOGIN,
            "verification_code": _pattern(r"\w{8,128}"),
            **_MONEY,
        },
        ("amount", "currency", "paymentagent_loginid", "verification_code"),
        ("payments",),
    ),
    "verify_email": Call(
        {
            "verify_email": lambda value: isinstance(value, str) and "@" in value,
            "type": _one("paymentagent_withdraw", "payment_withdraw", "account_opening", "reset_password"),
            "url_parameters": _url_parameters,
        },
        ("type",),
    ),
}


def method_of(request: Mapping[str, Any]) -> str | None:
    """The call that a request makes: the first of its keys that names one."""
    return next((name for name in request if name in CALLS), None)


def first_bad_field(name: str, request: Mapping[str, Any]) -> str | None:
    """The first field that fails the schema of this call, None when all pass."""
    call = CALLS[name]
    for key, value in request.items():
        if key == "req_id":
            if not isinstance(value, int) or isinstance(value, bool):
                return key
        elif key == "passthrough":
            if not isinstance(value, dict):
                return key
        elif key not in call.fields or not call.fields[key](value):
            return key
    return next((key for key in call.mandatory if key not in request), None)
