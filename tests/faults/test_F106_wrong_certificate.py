"""F106: somebody else answers under the provider's name, with a certificate that nobody vouches for."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penpay.adapters.deriv import WebSocketDialer
from penpay.domain.errors import NotSent
from tests.faults.operating import configured
from tests.faults.stage import Stage


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that it signed itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.safaricom.co.ke")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture
async def impostor(tmp_path: Path) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its address, and everything that somebody told it after the handshake."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.read(1000))
        finally:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    host, port = server.sockets[0].getsockname()[:2]
    yield f"{host}:{port}", heard
    server.close()


async def test_safaricoms_client_says_nothing_to_it(stage: Stage, impostor, daraja_at) -> None:
    address, heard = impostor
    with pytest.raises(NotSent):
        await daraja_at(f"https://{address}").check()
    assert b"".join(heard) == b""


async def test_the_agents_token_is_not_shown_to_it(impostor) -> None:
    address, heard = impostor
    with pytest.raises(NotSent):
        await WebSocketDialer(ws_url=f"wss://{address}/websockets/v3", app_id="1").connect()
    assert b"".join(heard) == b""


async def test_a_node_takes_no_business_for_that_rail_and_goes_on_when_the_right_one_is_back(
    stage: Stage, impostor
) -> None:
    address, heard = impostor
    async with configured(stage.installation.node, PENPAY_DARAJA__BASE_URL=f"https://{address}"):
        async with asyncio.timeout(60):
            # Taken until the rail has found out; such a push waits.
            while (reply := await stage.ask(stage.customer())).code != "rail_down":
                assert reply.status in {202, 503}, reply.body
                await asyncio.sleep(0.5)
        assert reply.status == 503
        assert b"".join(heard) == b""
    deposit = await stage.deposit(stage.customer())
    await stage.reaches(deposit, "COMPLETED")
