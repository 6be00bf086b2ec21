"""A real public listener over MariaDB and Redis; only the actors behind it are told what to answer."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from penpay.adapters.crypto import HmacCallbackTokens, KeySealer
from penpay.adapters.database import Database
from penpay.adapters.deriv_link_store import MySqlDerivLinks
from penpay.adapters.http_reads import MySqlReads
from penpay.adapters.identity_store import MySqlIdentities
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.adapters.metrics import Metrics
from penpay.adapters.password_store import MySqlPasswordChanges
from penpay.adapters.passwords import Argon2Passwords
from penpay.adapters.phone_store import MySqlPhoneChanges
from penpay.adapters.pin_store import MySqlPins
from penpay.adapters.rate_limits import RedisRateLimits
from penpay.adapters.receipts import Ed25519Receipts
from penpay.adapters.redis_streams import redis_client
from penpay.adapters.secrets import SystemSecrets
from penpay.adapters.session_store import MySqlSessions
from penpay.adapters.statement_pdf import FpdfStatements
from penpay.adapters.system import RandomUlids
from penpay.adapters.tokens import EdDsaTokens
from penpay.http.edge import Edge, EdgeSettings
from penpay.http.event_hub import EventHub
from penpay.http.public import public_app
from penpay.http.rates import rate_rules
from penpay.http.site import Site
from tests.http.world import Actors, Customer, Deriv, Elsewhere, LostAnswer, MovedClock, World, signed_in


@pytest.fixture
async def stores(module_database) -> AsyncIterator[Database]:
    database = Database(module_database.url, prefix=module_database.prefix)
    yield database
    database.close()


@pytest.fixture(scope="module")
def sealer() -> KeySealer:
    return KeySealer(keys={1: b"k" * 31 + b"1"}, current=1, blind_index_key=b"b" * 31 + b"1")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def edge_settings() -> EdgeSettings:
    """Tests of other settings override this fixture."""
    return EdgeSettings(
        public_url="http://127.0.0.1",
        shards=4,
        relaxed=True,
        deriv_oauth_url="https://deriv.example/oauth2/authorize",
        deriv_app_id="1089",
        callback_allowlist=(),
        callback_enforce=False,
        rates=rate_rules(address_factor=1000, otp_resend_s=1),
    )


@pytest.fixture
async def world(stores, sealer, clock, redis, edge_settings) -> AsyncIterator[World]:
    actors, deriv, hub = Actors(), Deriv(), EventHub()
    counters = redis_client(redis.url())
    passwords = Argon2Passwords(pepper=b"pepper", memory_kib=64, passes=1)
    edge = Edge(
        settings=edge_settings,
        addresses=actors,
        accounts=MySqlIdentities(stores, sealer),
        pins=MySqlPins(stores),
        sessions=MySqlSessions(stores, sealer, hub),
        password_changes=MySqlPasswordChanges(stores, sealer, hub),
        phone_changes=MySqlPhoneChanges(stores, sealer, hub),
        links=MySqlDerivLinks(stores, sealer),
        reads=MySqlReads(stores),
        inbox=MySqlInboxStore(stores, sealer),
        callback_tokens=HmacCallbackTokens(public_url="https://pay.example", keys={1: b"c" * 32}, current=1),
        sealer=sealer,
        tokens=EdDsaTokens(seeds=[bytes(range(32))], lifetime_s=900),
        passwords=passwords,
        deriv_accounts=deriv,
        rate_limits=RedisRateLimits(counters, clock, call_s=10.0),
        receipts=Ed25519Receipts(bytes(range(1, 33))),
        statement_pages=FpdfStatements(),
        events=hub,
        clock=clock,
        ids=RandomUlids(),
        secrets=SystemSecrets(),
        metrics=Metrics(),
        lost_answers=(LostAnswer, TimeoutError),
        unavailable_codes={Elsewhere: "not_owner"},
    )
    site = Site("public", lambda: public_app(edge), host="127.0.0.1", port=0, close_s=0.2)
    await site.open()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield World(edge, site, session, actors, deriv)
    edge.admission.open = False
    await site.close()
    passwords.close()
    await counters.aclose()


@pytest.fixture
async def customer(world: World) -> Customer:
    return await signed_in(world)
