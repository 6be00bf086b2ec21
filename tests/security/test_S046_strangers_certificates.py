"""S46: a provider that cannot prove who it is gets no request. Plain transport is refused in production.

Encryption in front of the public listener is the proxy's; to database and Redis it is the private network's.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.environment import SettingsError
from config.settings import load_settings
from penpay.adapters.daraja import HttpDaraja
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.fx import HttpFxSource
from penpay.adapters.sms import AfricasTalking
from penpay.adapters.system import SystemClock
from penpay.domain.errors import GatewayError, NotSent, Unavailable
from tests.config.test_settings import PRODUCTION
from tests.security.test_S043_providers_that_say_nothing import account


def certificate(folder: Path) -> Path:
    """Signed by nobody but itself, for this very address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "stranger.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server with such a certificate, and every byte that it was told in confidence."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], heard
    server.close()


async def test_nothing_is_said_to_a_stranger(stranger: tuple[int, list[bytes]]):
    port, heard = stranger
    https = f"https://127.0.0.1:{port}"
    daraja = HttpDaraja(account(https), SystemClock())
    fx, sms = HttpFxSource(f"{https}/fx"), AfricasTalking(url=https, username="u", api_key="k")
    async with asyncio.timeout(20):
        with pytest.raises(GatewayError):
            await daraja.stk_query("ws_CO_1")
        with pytest.raises(NotSent):
            await WebSocketDialer(ws_url=f"wss://127.0.0.1:{port}/websockets/v3", app_id="1").connect()
        with pytest.raises(Unavailable):
            await fx.mid()
        with pytest.raises(Unavailable):
            await sms.send(to="254712345678", text="x")
    for one in (daraja, fx, sms):
        await one.close()
    assert not [words for words in heard if words]


@pytest.mark.parametrize(
    "name", [name for name, value in PRODUCTION.items() if value.startswith(("https://", "wss://"))]
)
def test_production_speaks_to_nobody_in_the_clear(name: str):
    plain = PRODUCTION[name].replace("https://", "http://").replace("wss://", "ws://")
    with pytest.raises(SettingsError, match=f"{name} must be https or wss"):
        load_settings(PRODUCTION | {name: plain}, dotenv=None)
