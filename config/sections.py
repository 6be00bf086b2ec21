"""The sections of the settings, each the variables of one prefix. Loaded by `config.settings`."""

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretBytes, SecretStr, model_validator

from config.environment import RELAXED
from config.keys import VersionedKey, decode_key, decode_keyring
from config.limits import FORBIDDEN_IN_URLS
from config.tuning import LimitSettings, Section, TimingSettings

Environment = Literal["development", "testing", "staging", "production"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SAFARICOM_ADDRESSES = (
    *("196.201.214.200", "196.201.214.206", "196.201.214.207", "196.201.214.208"),
    *("196.201.213.114", "196.201.213.44"),
    *("196.201.212.127", "196.201.212.128", "196.201.212.129", "196.201.212.132"),
    *("196.201.212.136", "196.201.212.138", "196.201.212.74", "196.201.212.69"),
)
"""Senders of callbacks as documented or seen; they can change, so the list is a setting."""
NEAR_NETWORKS = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a listener listens. Port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _bind(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host) or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError("must be HOST:PORT")
    return Bind(bare, int(port))


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be networks like 10.0.0.0/8, separated by commas") from None


def _url(*schemes: str) -> AfterValidator:
    def check(value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            raise ValueError("is a URL whose host or port cannot be read") from None
        by_socket = parts.scheme in _BY_SOCKET and parts.path
        if parts.scheme not in schemes or not (parts.hostname or by_socket):
            raise ValueError(f"must be a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


_BY_SOCKET = frozenset({"mysql", "unix"})


def _before_callbacks(value: str) -> str:
    """The paths of callbacks are put behind it, and the provider must like the whole."""
    parts = urlsplit(value)
    if parts.username is not None:
        raise ValueError("must not name a user: it is told to providers")
    if "?" in value or "#" in value:
        raise ValueError("must end with its host or path")
    if word := next((word for word in FORBIDDEN_IN_URLS if word in value.lower()), ""):
        raise ValueError(f"contains {word!r}: Safaricom refuses such callback URLs")
    return value


def _socket_only(value: SecretStr) -> SecretStr:
    if set(parse_qs(urlsplit(value.get_secret_value()).query, keep_blank_values=True)) - {"unix_socket"}:
        raise ValueError("takes no option but unix_socket")
    return value


def _numbered(value: SecretStr) -> SecretStr:
    """The client would take another database for a number that it cannot read."""
    parts = urlsplit(value.get_secret_value())
    path = "" if parts.scheme in _BY_SOCKET else parts.path.removeprefix("/")
    numbers = [*([path] if path else []), *parse_qs(parts.query, keep_blank_values=True).get("db", [])]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise ValueError("must name its database by a number, or not at all")
    return value


def _is_sender(value: str) -> bool:
    address = parseaddr(value)[1]
    local, _, domain = address.rpartition("@")
    # Who reads addresses forgives much: what was read must be what stands there.
    return bool(local and domain) and value.isprintable() and (value == address or value.endswith(f"<{address}>"))


def _place(value: object) -> object:
    if value == "":
        raise ValueError("is empty")
    return value


def _not_empty(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("is empty")
    return value


def _fits_a_header(value: SecretStr) -> SecretStr:
    if not all("!" <= character <= "~" for character in value.get_secret_value()):
        raise ValueError("must be visible ASCII characters without spaces")
    return value


Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
HttpUrl = Annotated[str, _url("http", "https")]
PublicUrl = Annotated[HttpUrl, AfterValidator(_before_callbacks)]
Place = Annotated[Path, BeforeValidator(_place)]
"""A file or folder. An empty text would be the working directory."""
ListenerBind = Annotated[Bind, BeforeValidator(_bind)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
DatabaseUrl = Annotated[SecretStr, _url("mysql"), AfterValidator(_socket_only)]
Key = Annotated[SecretBytes, BeforeValidator(lambda value: decode_key(value) if isinstance(value, str) else value)]
KeyRing = Annotated[
    tuple[VersionedKey, ...], BeforeValidator(lambda value: decode_keyring(value) if isinstance(value, str) else value)
]


class NodeSettings(Section):
    """`PENPAY_NODE__…`. `shards` is fixed when the database is first migrated."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")] = Field(
        default_factory=lambda: socket.gethostname()[:40]
    )
    shards: Annotated[int, Field(ge=1, le=256)] = 16
    state_dir: Place = Path("~/.local/state/penpay").expanduser()
    """Anchors, witness and drawn keys; by default the user's state directory of the environment."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class InternalListener(Section):
    """The part of `PENPAY_HTTP__…` that says where a running node is spoken to."""

    internal_bind: ListenerBind = Bind("127.0.0.1", 8081)


class HttpSettings(InternalListener):
    """`PENPAY_HTTP__…`: the two listeners, and how providers reach the public one."""

    public_bind: ListenerBind = Bind("127.0.0.1", 8080)
    public_url: PublicUrl
    trusted_proxies: Networks = ()


class DatabaseSettings(Section):
    """`PENPAY_DATABASE__…`. `admin_url` is for `migrate` only; without one it is the runtime login."""

    url: DatabaseUrl
    admin_url: DatabaseUrl | None = None
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}_$")] = "penpay_"

    @property
    def migration_url(self) -> SecretStr:
        """The login that changes schemas."""
        return self.admin_url or self.url


class RedisSettings(Section):
    """`PENPAY_REDIS__…`."""

    url: Annotated[SecretStr, _url("redis", "rediss", "unix"), AfterValidator(_numbered)]


class DerivSettings(Section):
    """`PENPAY_DERIV__…`: the payment agent's identity, and the page that links customers."""

    ws_url: Annotated[str, _url("ws", "wss")]
    app_id: Text
    agent_token: Secret
    agent_loginid: Text
    oauth_url: HttpUrl


class DarajaSettings(Section):
    """`PENPAY_DARAJA__…`: Safaricom. `b2c_shortcode` is the paying one, by default the receiving one."""

    base_url: HttpUrl
    consumer_key: Secret
    consumer_secret: Secret
    shortcode: Annotated[str, Field(pattern=r"^\d{5,7}$")]
    passkey: Secret
    b2c_shortcode: Annotated[str, Field(pattern=r"^(\d{5,7})?$")] = ""
    initiator_name: Text
    initiator_password: Secret
    certificate: Place
    callback_allowlist: Networks = ()
    allowlist_mode: Literal["enforce", "observe"] = "enforce"

    @property
    def paying_shortcode(self) -> str:
        """Whose money a payout is."""
        return self.b2c_shortcode or self.shortcode


class FxSettings(Section):
    """`PENPAY_FX__…`. The first source gives the rate, the second only checks it."""

    url: HttpUrl
    second_url: HttpUrl | None = None
    spread_kes: Annotated[Decimal, Field(ge=0, le=50, decimal_places=6)] = Decimal(5)

    @property
    def spread_e6(self) -> int:
        """KES per USD times 10**6."""
        return int(self.spread_kes.scaleb(6))


class SmsSettings(Section):
    """`PENPAY_SMS__…`: Africa's Talking."""

    url: HttpUrl
    username: Text
    api_key: Secret
    sender: str = ""


class SmtpSettings(Section):
    """`PENPAY_SMTP__…`. Without a host no mail is sent."""

    host: str = ""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: Annotated[str, Field(alias="from")] = ""

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        if self.host and not _is_sender(self.sender):
            raise ValueError("FROM must be an address, or a name with one: PenPay <no-reply@example.com>")
        return self


class OperatorAccess(Section):
    """The part of `PENPAY_SECURITY__…` that lets an operator in."""

    ops_token: Annotated[SecretStr, AfterValidator(_fits_a_header)] = SecretStr("")


class SecuritySettings(OperatorAccess):
    """`PENPAY_SECURITY__…`. Keys are 32 bytes in base64; of a ring the first is used, the others read."""

    jwt_key: KeyRing
    """Seeds of the Ed25519 keys of access tokens: the first signs, all are taken."""
    field_keys: KeyRing
    blind_index_key: KeyRing
    """The first makes indexes, all are looked for."""
    callback_key: KeyRing
    password_pepper: Key
    audit_signing_key: Key
    """Seed of the Ed25519 key that signs anchors and receipts."""


class AuditSettings(Section):
    """`PENPAY_AUDIT__…`: where anchors leave the database; by default below the state directory."""

    anchor_dir: Place | None = None


class Settings(Section):
    """The whole configuration."""

    app_env: Environment
    node: NodeSettings
    http: HttpSettings
    database: DatabaseSettings
    redis: RedisSettings
    deriv: DerivSettings
    daraja: DarajaSettings
    fx: FxSettings
    sms: SmsSettings
    smtp: SmtpSettings
    security: SecuritySettings
    audit: AuditSettings
    limits: LimitSettings
    timing: TimingSettings

    @property
    def is_relaxed(self) -> bool:
        """Development and testing: keys are drawn, plain transport is accepted, unknown senders are only observed."""
        return self.app_env in RELAXED

    @property
    def anchor_dir(self) -> Path:
        """Where signed anchors are written."""
        return self.audit.anchor_dir or self.node.state_dir / "anchors"


SECTIONS: Mapping[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
