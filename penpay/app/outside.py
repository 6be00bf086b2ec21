"""What a node talks to, made from the settings: database, Redis, providers, keys. Nothing is connected yet."""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from config.keys import VersionedKey
from config.sections import Settings
from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.adapters.crypto import HmacCallbackTokens, KeySealer, security_credential
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.database import Database
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.fx import HttpFxSource
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.adapters.lease_store import MySqlLeaseStore
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.adapters.outbox_store import MySqlOutboxStore
from penpay.adapters.rail_reads import MySqlRailReads
from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.sms import AfricasTalking
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.adapters.user_store import MySqlUserStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The database, one store per noun."""

    database: Database
    sagas: MySqlSagaStore
    users: MySqlUserStore
    inbox: MySqlInboxStore
    attempts: MySqlAttemptStore
    outbox: MySqlOutboxStore
    leases: MySqlLeaseStore
    rail_reads: MySqlRailReads
    ledger: MySqlLedgerStore


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything beyond the process, and the two things that only the system knows: time and chance."""

    settings: Settings
    boot_id: str
    clock: SystemClock
    ids: RandomUlids
    dice: random.Random
    sealer: KeySealer
    tokens: HmacCallbackTokens
    stores: Stores
    redis: Redis
    streams: RedisStreams
    daraja: HttpDaraja
    dialer: WebSocketDialer
    fx: Sequence[HttpFxSource]
    sms: AfricasTalking
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """What else has threads or files: closed with everything here."""

    async def close(self) -> None:
        """Close what has connections. Called when nobody uses them any more."""
        for close in self.at_end:
            close()
        await self.daraja.close()
        for source in self.fx:
            await source.close()
        await self.sms.close()
        await self.redis.aclose()
        self.stores.leases.drop_claim()
        self.stores.database.close()


def keyring(keys: Sequence[VersionedKey]) -> tuple[dict[int, bytes], int]:
    """Keys by version, and the one that seals now: the highest."""
    ring = {entry.version: entry.key.get_secret_value() for entry in keys}
    return ring, max(ring)


def sealer_of(settings: Settings) -> KeySealer:
    """The sealer of this installation's fields."""
    ring, current = keyring(settings.security.field_keys)
    return KeySealer(keys=ring, current=current, blind_index_key=settings.security.blind_index_key.get_secret_value())


def outside_of(settings: Settings) -> Outside:
    """Make all of it. On the loop that will use it; raises `ValueError` for keys that do not fit."""
    clock, ids = SystemClock(), RandomUlids()
    boot_id = ids.ulid()
    sealer = sealer_of(settings)
    ring, current = keyring(settings.security.callback_key)
    redis = redis_client(settings.redis.url.get_secret_value())
    return Outside(
        settings=settings,
        boot_id=boot_id,
        clock=clock,
        ids=ids,
        dice=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
        sealer=sealer,
        tokens=HmacCallbackTokens(public_url=settings.http.public_url, keys=ring, current=current),
        stores=_stores(settings, sealer, clock, ids, boot_id),
        redis=redis,
        streams=RedisStreams(redis),
        daraja=HttpDaraja(_daraja_account(settings), clock),
        dialer=WebSocketDialer(ws_url=settings.deriv.ws_url, app_id=settings.deriv.app_id),
        fx=[
            HttpFxSource(url, timeout_s=settings.timing.fx_call_s)
            for url in (settings.fx.url, settings.fx.second_url)
            if url is not None
        ],
        sms=AfricasTalking(
            url=settings.sms.url,
            username=settings.sms.username,
            api_key=settings.sms.api_key.get_secret_value(),
            sender=settings.sms.sender,
            timeout_s=settings.timing.sms_call_s,
        ),
    )


def _stores(settings: Settings, sealer: KeySealer, clock: SystemClock, ids: RandomUlids, boot_id: str) -> Stores:
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    return Stores(
        database=database,
        sagas=MySqlSagaStore(database, sealer),
        users=MySqlUserStore(database),
        inbox=MySqlInboxStore(database, sealer),
        attempts=MySqlAttemptStore(database, sealer, clock=clock, ids=ids),
        outbox=MySqlOutboxStore(database),
        leases=MySqlLeaseStore(
            database, node=settings.node.name, boot_id=boot_id, lease_s=settings.timing.shard_lease_s
        ),
        rail_reads=MySqlRailReads(database),
        ledger=MySqlLedgerStore(database, boot_id=boot_id),
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
        security_credential=security_credential(Path(daraja.certificate).read_bytes(), password),
        call_timeout_s=settings.timing.daraja_call_s,
    )
