"""Log lines: one format for ours and for libraries, on stderr, without secrets or phone numbers.

Redaction is the last step before rendering, so it sees what every source wrote. It works on names (a field called
`token` is never shown) and on shapes (a Kenyan number inside a sentence is masked wherever it stands).
"""

import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_HIDDEN: Final = "[hidden]"
_DEPTH_MAX: Final = 6
_SECRET_NAMES = re.compile(
    r"(?:^|_)(?:pin|password|passwd|passkey|secret|pepper|token\d*|authorization|cookie|otp|code_sent"
    r"|verification_code|api_?key|private_key|full_?name|jwt|credential|securitycredential|consumer_key|cipher|plaintext)(?:$|_)",
    re.IGNORECASE,
)
_PHONE_NAMES = re.compile(r"(?:^|_)(?:phone|msisdn|phone_?number|party_?a|party_?b|to)$", re.IGNORECASE)
_ADDRESS: Final = r"[A-Za-z0-9._%+-]++@([A-Za-z0-9.-]+\.[A-Za-z]{2,})"
_MASKED_SHAPES: tuple[tuple[re.Pattern[str], Any], ...] = (
    # Kenyan mobile numbers, with and without the country's code. Neighbouring digits mean another kind of number.
    (re.compile(r"(?<![\w.])(\+?254|0)([17]\d{2})\d{3}(\d{3})(?![\w])"), lambda m: f"254{m[2][0]}****{m[3]}"),
    # Addresses, tried once for each run of their characters. One may end within a run, and the next begins right there.
    (re.compile(rf"(?<![A-Za-z0-9._%+-])(?:{_ADDRESS})+"), lambda m: re.sub(_ADDRESS, r"***@\1", m[0])),
    # Access tokens (JWT), Deriv tokens, bearer and basic headers, tokens and codes in a query, callback URLs.
    # A run of their characters is looked at once, from its first `eyJ`: a later one would end at the same dot.
    (re.compile(r"(?<![\w-])((?:(?!eyJ)[\w-])*)eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), rf"\1{_HIDDEN}"),
    (re.compile(r"\ba1-[A-Za-z0-9]{8,}\b"), _HIDDEN),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (re.compile(r"([?&;](?:token|code|state|key|secret|password)\d*=)[^&\s\"']+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(/cb/[a-z0-9_]+/)[0-9A-Fa-f]{8,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"(://[^:/@\s]+:)[^@/\s]+@"), rf"\1{_HIDDEN}@"),
    (
        re.compile(r"(\b(?:password|passkey|secret|pin|token|otp)[\"']?\s*[:=]\s*[\"']?)[^\s,;\"'}&]+", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
)
_MAY_HIDE = re.compile(r"[@:=\r\n]|\d{9}|eyJ|a1-|/cb/|bearer|basic", re.IGNORECASE)
"""Every shape above holds one of these; most values hold none, and are done with one look."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{8,15}Z", re.ASCII)


def redact(_logger: WrappedLogger | None, _name: str, event: EventDict) -> EventDict:
    """Processor of structlog: the same line without what must not be written down. Also breaks line breaks."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Mask what looks like a secret, a phone number or an e-mail address, and make line breaks visible."""
    if f"_{text}".isidentifier() and not text.isdigit():
        return text  # one word, as most values are: every shape above ends within its text, or is digits alone
    if not _MAY_HIDE.search(text) or _TIME.fullmatch(text):
        return text
    for shape, mask in _MASKED_SHAPES:
        text = shape.sub(mask, text)
    return text.replace("\r", "\\r").replace("\n", "\\n")


def configure_logging(
    *,
    form: Literal["json", "console"] = "json",
    level: str = "info",
    stream: TextIO | None = None,
    for_good: bool = False,
) -> None:
    """Send structlog and the standard library's loggers through one chain to `stream` (stderr).

    `for_good`: this process never configures again, so each logger is put together once, not for every line.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    final: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        _console(stream) if form == "console" else structlog.processors.JSONRenderer(serializer=_json),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=for_good,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=final
        )
    )
    # Nobody prints where in the code a line was written, or by which thread; finding out costs more than the rest.
    logging._srcfile = None  # noqa: SLF001 - the documented way to say so
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Every request is measured and counted already; a line for each costs more than the request's own work.
    for noisy in ("aiohttp.access", "websockets.client", "websockets.server", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _clean(name: str, value: Any, depth: int) -> Any:
    secret, phone = _kind_of(name)
    if secret and value not in (None, "", 0, False):
        return _HIDDEN
    if isinstance(value, str):
        if phone and value.lstrip("+").isdigit() and len(value) > 6:
            return f"{value.lstrip('+')[:4]}****{value[-3:]}"
        return redact_text(value) if name != "exception" else "\n".join(map(redact_text, value.split("\n")))
    if depth >= _DEPTH_MAX:
        return redact_text(repr(value))
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(name, inner, depth + 1) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and phone:
        return _clean(name, str(value), depth)
    if value is None or isinstance(value, (bool, int, float)):
        return _clean_number(value)
    return redact_text(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> tuple[bool, bool]:
    """Whether a field of this name holds a secret, and whether a phone number."""
    return _SECRET_NAMES.search(name) is not None, _PHONE_NAMES.search(name) is not None


def _clean_number(value: float | None) -> float | str | None:
    """A provider sends numbers of phones as integers."""
    if isinstance(value, int) and not isinstance(value, bool) and 254_100_000_000 <= value <= 254_799_999_999:
        return redact_text(str(value))
    return value


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _json(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=str).decode()
