"""What a node talks to, made from the settings: database, Redis, providers, keys. Nothing is connected yet."""

import os
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from config.environment import SettingsError, variable
from config.keys import VersionedKey
from config.sections import Settings
from penpay.adapters.agent_account import DialedAgentAccount
from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.adapters.crypto import HmacCallbackTokens, KeySealer, security_credential
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.database import Database
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.fx import HttpFxSource
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.adapters.key_store import MySqlKeys
from penpay.adapters.lease_store import MySqlLeaseStore
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.adapters.metrics import Metrics
from penpay.adapters.outbox_store import MySqlOutboxStore
from penpay.adapters.rail_reads import MySqlRailReads
from penpay.adapters.reconcile_store import MySqlReconciliation
from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.sms import AfricasTalking
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.adapters.user_store import MySqlUserStore
from penpay.app.house import House, Outside, Stores
from penpay.provider_lists import Lists


@dataclass(frozen=True, slots=True)
class Connected(Outside):
    """The outside of a real process: ports on top, and the connections that only composition knows."""

    sealer: KeySealer
    database: Database
    redis: Redis
    keys: MySqlKeys
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What of it has connections, threads or files."""

    async def close(self) -> None:
        """Close what has connections, the newest first. Called when nobody uses them any more."""
        await self.closing.aclose()


@dataclass(slots=True)
class NodeHouse(House):
    """The house of a real process."""

    outside: Connected
    metrics: Metrics


def keyring(keys: Sequence[VersionedKey]) -> tuple[dict[int, bytes], int]:
    """Keys by version, and the one that is used for new things: the first.

    So a cluster learns a new key for reading before any node seals with it: first `1:old,2:new` everywhere, then
    `2:new,1:old`.
    """
    ring = {entry.version: entry.key.get_secret_value() for entry in keys}
    return ring, keys[0].version


def token_seeds(settings: Settings) -> list[bytes]:
    """Seeds of the keys of access tokens; the first signs."""
    return [entry.key.get_secret_value() for entry in settings.security.jwt_key]


def sealer_of(settings: Settings) -> KeySealer:
    """The sealer of this installation's fields."""
    ring, current = keyring(settings.security.field_keys)
    index_key, *former = [entry.key.get_secret_value() for entry in settings.security.blind_index_key]
    return KeySealer(keys=ring, current=current, blind_index_key=index_key, former_index_keys=former)


async def opened_sealer(settings: Settings, database: Database) -> KeySealer:
    """A sealer that also opens what belongs to no customer, for commands that read it. Raises `Unavailable`."""
    sealer = sealer_of(settings)
    await MySqlKeys(database, sealer).load()
    return sealer


def outside_of(settings: Settings) -> Connected:
    """Make all of it. On the loop that will use it; raises `ValueError` for keys that do not fit."""
    clock, ids = SystemClock(), RandomUlids()
    boot_id = ids.ulid()
    sealer = sealer_of(settings)
    ring, current = keyring(settings.security.callback_key)
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    redis = redis_client(settings.redis.url.get_secret_value())
    leases = MySqlLeaseStore(database, node=settings.node.name, boot_id=boot_id, lease_s=settings.timing.shard_lease_s)
    daraja = HttpDaraja(_daraja_account(settings), clock)
    fx = [
        HttpFxSource(url, timeout_s=settings.timing.fx_call_s)
        for url in (settings.fx.url, settings.fx.second_url)
        if url is not None
    ]
    sms = _sms(settings)
    closing = AsyncExitStack()
    for close in (database.close, leases.drop_claim):
        closing.callback(close)
    for disconnect in (redis.aclose, sms.close, *(source.close for source in fx), daraja.close):
        closing.push_async_callback(disconnect)
    return Connected(
        settings=settings,
        boot_id=boot_id,
        clock=clock,
        ids=ids,
        dice=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
        sealer=sealer,
        tokens=HmacCallbackTokens(public_url=settings.http.public_url, keys=ring, current=current),
        stores=Stores(
            sagas=MySqlSagaStore(database, sealer),
            users=MySqlUserStore(database),
            inbox=MySqlInboxStore(database, sealer),
            attempts=MySqlAttemptStore(database, sealer, clock=clock, ids=ids),
            outbox=MySqlOutboxStore(database),
            leases=leases,
            rail_reads=MySqlRailReads(database),
            payments=MySqlReconciliation(database),
            ledger=MySqlLedgerStore(database, boot_id=boot_id),
        ),
        streams=RedisStreams(redis),
        daraja=daraja,
        dialer=WebSocketDialer(ws_url=settings.deriv.ws_url, app_id=settings.deriv.app_id),
        fx=fx,
        sms=sms,
        database=database,
        redis=redis,
        keys=MySqlKeys(database, sealer),
        closing=closing,
    )


def lists_of(outside: Connected) -> Lists:
    """The providers' lists beside the books, for a comparison or for a look at one item."""
    settings = outside.settings
    agent = DialedAgentAccount(
        outside.dialer,
        loginid=settings.deriv.agent_loginid,
        token=settings.deriv.agent_token.get_secret_value(),
        call_s=settings.timing.deriv_call_s,
        reads_per_minute=settings.limits.deriv_reads_per_minute,
    )
    return Lists(
        payments=outside.daraja,
        agent=agent,
        books=MySqlReconciliation(outside.database),
        reads=outside.stores.rail_reads,
        clock=outside.clock,
        settle_s=settings.timing.deriv_settle_s,
    )


def _sms(settings: Settings) -> AfricasTalking:
    return AfricasTalking(
        url=settings.sms.url,
        username=settings.sms.username,
        api_key=settings.sms.api_key.get_secret_value(),
        sender=settings.sms.sender,
        timeout_s=settings.timing.sms_call_s,
    )


def _daraja_account(settings: Settings) -> DarajaAccount:
    daraja = settings.daraja
    password = daraja.initiator_password.get_secret_value()
    return DarajaAccount(
        base_url=daraja.base_url,
        consumer_key=daraja.consumer_key.get_secret_value(),
        consumer_secret=daraja.consumer_secret.get_secret_value(),
        shortcode=daraja.shortcode,
        paying_shortcode=daraja.paying_shortcode,
        passkey=daraja.passkey.get_secret_value(),
        initiator_name=daraja.initiator_name,
        security_credential=_credential(daraja.certificate, password),
        call_timeout_s=settings.timing.daraja_call_s,
    )


def _credential(certificate: Path, password: str) -> str:
    name = variable("daraja", "certificate")
    try:
        return security_credential(certificate.read_bytes(), password)
    except OSError as error:
        raise SettingsError(f"{name}: cannot read the file: {os.strerror(error.errno or 0)}") from None
    except ValueError:
        raise SettingsError(f"{name}: the file holds neither a certificate nor a public RSA key in PEM") from None
