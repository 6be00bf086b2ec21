"""Fault scripts: what shall happen to the next request, said beforehand by a test."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

T = TypeVar("T")

_ACCEPTS: Mapping[type, tuple[type, ...]] = {float: (int, float), tuple: (list, tuple)}


class BadControl(ValueError):
    """A control request that the sandbox does not understand; answered with 400 and this text."""


def from_json(cls: Callable[..., T], raw: object) -> T:
    """Build a dataclass from a JSON object. An unknown key or another type is refused by name."""
    if not isinstance(raw, dict):
        raise BadControl("a JSON object is needed")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]  # every caller passes a dataclass
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in known:
            raise BadControl(f"unknown: {name}; known: {', '.join(sorted(known))}")
        f = known[name]
        default = f.default if f.default is not MISSING else f.default_factory() if callable(f.default_factory) else ""
        kind = type(default)
        if isinstance(value, bool) is not (kind is bool) or not isinstance(value, _ACCEPTS.get(kind, (kind,))):
            raise BadControl(f"{name} must be a {kind.__name__}")
        values[name] = tuple(value) if kind is tuple else value
    try:
        return cls(**values)
    except TypeError as missing:
        raise BadControl(str(missing)) from missing


def turn(knobs: object, raw: Mapping[str, object]) -> None:
    """Set several knobs at once, or none of them when one is unknown or of another type."""
    checked = from_json(type(knobs), dict(raw))
    for name in raw:
        setattr(knobs, name, getattr(checked, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of a script: for which requests, how often, and which fault of the transport it brings.

    `match` compares request fields by name, numbers by value. `times` 0 means for ever.
    """

    op: str = ""
    match: dict[str, Any] = field(default_factory=dict)
    times: int = 1
    fault: str = ""
    fault_delay_s: float = 0.0
    error_http: int = 500
    error_code: str = "500.003.1001"
    error_message: str = "Internal Server Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class StkStep(Step):
    """What becomes of one prompt on a phone."""

    op: str = "stk"
    outcome: str = "0"
    answer_delay_s: float = -1.0
    paid_kes: int = 0
    callback: str = "send"
    callback_delay_s: float = 0.0
    copies: int = 1
    before_ack: bool = False
    code_type: str = "int"
    amount_type: str = "float"
    balance: str = "empty"
    phone: str = "int"
    shuffle: bool = False
    metadata: str = "full"
    query: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultStep(Step):
    """What becomes of one asynchronous request: Reversal, TransactionStatus, AccountBalance or B2C."""

    result_code: str = ""
    delay_s: float = -1.0
    callback: str = "send"
    callback_delay_s: float = 0.0
    copies: int = 1
    code_type: str = "natural"
    reference: str = "object"
    result_type: int = 0
    transaction_status: str = ""
    receiver_name: str = ""
    """Under which M-Pesa knows who is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivStep(Step):
    """What becomes of one WebSocket call.

    `amount` is the sum moved by the fault `other_amount`, `loginid` who gets it by the fault `other_recipient`, and
    by any other that executes where one is named.
    """

    error_code: str = "PaymentAgentTransferError"
    error_message: str = "Your account is not allowed to make this transfer."
    amount: str = ""
    loginid: str = ""


DARAJA_OPS = ("oauth", "stk", "query", "reversal", "status", "balance", "pull", "b2c")
HTTP_FAULTS = ("", "error", "refused_200", "reset", "html", "reset_after", "html_after", "truncated", "late")
DERIV_FAULTS = (
    "",
    "before_read",
    "not_executed",
    "executed",
    "late_reply",
    "late_execute",
    "slow",
    "no_reply",
    "duplicate_reply",
    "garbage_reply",
    "refuse",
    "other_amount",
    "other_recipient",
)
_WORDS: Mapping[str, tuple[str, ...]] = {
    "callback": ("send", "lost", "queue_timeout", "queue_timeout_then_send"),
    "code_type": ("int", "string", "natural"),
    "amount_type": ("float", "int", "string"),
    "balance": ("absent", "empty", "number", "packed"),
    "phone": ("int", "string", "masked"),
    "metadata": ("full", "none", "no_receipt", "object"),
    "reference": ("object", "array"),
}


def _check_words(step: Step, faults: Iterable[str]) -> None:
    if step.fault not in faults:
        raise BadControl(f"fault must be one of {', '.join(f for f in faults if f)}")
    for name, words in _WORDS.items():
        value = getattr(step, name, None)
        if value is not None and value not in words:
            raise BadControl(f"{name} must be one of {', '.join(words)}")


def stk_step(raw: object) -> StkStep:
    """Read one prompt's script; an `extra` callback may only carry a failure, since money has a receipt."""
    step = from_json(StkStep, raw)
    _check_words(step, HTTP_FAULTS)
    if step.callback not in ("send", "lost"):
        raise BadControl("callback of a prompt must be send or lost")
    for extra in step.extra:
        code, at, delay_s = str(extra).partition("@")
        if not at or code in ("", "0") or not delay_s.replace(".", "", 1).isdigit():
            raise BadControl('extra must be "<failure code>@<seconds after the push>"')
    return step


def daraja_step(raw: object) -> Step:
    """Read one step for a Daraja operation, named by `op`."""
    op = raw.get("op") if isinstance(raw, dict) else None
    if op not in DARAJA_OPS:
        raise BadControl(f"op must be one of {', '.join(DARAJA_OPS)}")
    if op == "stk":
        return stk_step(raw)
    step = from_json(Step if op in ("oauth", "query", "pull") else ResultStep, raw)
    _check_words(step, HTTP_FAULTS)
    return step


def deriv_step(raw: object) -> DerivStep:
    """Read one step for a Deriv call, named by `op`; a transfer's step leaves dry runs alone unless it says so."""
    step = from_json(DerivStep, raw)
    if not step.op:
        raise BadControl("op must name a call, for example paymentagent_transfer")
    _check_words(step, DERIV_FAULTS)
    if step.op in ("paymentagent_transfer", "paymentagent_withdraw") and "dry_run" not in step.match:
        return replace(step, match={**step.match, "dry_run": 0})
    return step


def _same(want: object, have: object) -> bool:
    if str(want) == str(have):
        return True
    try:
        return Decimal(str(want)) == Decimal(str(have))
    except InvalidOperation:
        return False


class Script:
    """Steps in order; the first that matches a request is used, and used up after its `times`."""

    def __init__(self) -> None:
        self._steps: list[tuple[Step, list[int]]] = []

    def add(self, step: Step) -> None:
        self._steps.append((step, [step.times]))

    def clear(self) -> None:
        self._steps.clear()

    def take(self, op: str, request: Mapping[str, object]) -> Step | None:
        """The step for this request, or None when nothing was scripted for it."""
        for entry in self._steps:
            step, left = entry
            if step.op == op and all(_same(want, request.get(name, "")) for name, want in step.match.items()):
                if left[0] == 1:
                    self._steps.remove(entry)
                left[0] -= 1
                return step
        return None

    def pending(self) -> list[Step]:
        return [step for step, _ in self._steps]
