"""Answers of the small providers as networks and other implementations bring them: in pieces, or with fewer words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from penpay.adapters.fx import HttpFxSource, read_rate
from penpay.adapters.sms import AfricasTalking
from penpay.domain.errors import Refused, Unavailable

RATE = b'{"base":"USD","rates":{"EUR":0.92,"KES":129.35},"timestamp":1732000000}'
SENT = b'{"SMSMessageData":{"Message":"Sent to 1/1","Recipients":[{"statusCode":101,"number":"+254712345678"}]}}'


@asynccontextmanager
async def answering(status: str, *pieces: bytes) -> AsyncIterator[str]:
    """A provider whose body comes in pieces, each some time after the one before."""

    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {sum(map(len, pieces))}\r\n\r\n".encode())
        for piece in pieces:
            await asyncio.sleep(0.02)
            writer.write(piece)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in writers:
        writer.transport.abort()
    server.close()


async def send_to(url: str) -> None:
    gateway = AfricasTalking(url=url, username="u", api_key="k")
    try:
        await gateway.send(to="254712345678", text="Your code is 123456")
    finally:
        await gateway.close()


async def test_a_rate_that_comes_in_pieces_is_read_whole():
    async with answering("200 OK", RATE[:20], RATE[20:45], RATE[45:]) as url:
        source = HttpFxSource(url)
        assert await source.mid() == (Decimal("129.35"), datetime.fromtimestamp(1_732_000_000, UTC))
        await source.close()


async def test_half_a_rate_is_no_rate():
    async with answering("200 OK", RATE[:20]) as url:
        source = HttpFxSource(url)
        with pytest.raises(Refused):
            await source.mid()
        await source.close()


def test_a_time_with_a_fraction_is_a_time():
    at = read_rate(RATE.replace(b"1732000000", b"1732000000.731"))[1]
    assert at == datetime.fromtimestamp(1_732_000_000, UTC)


async def test_a_message_whose_receipt_comes_in_pieces_is_not_sent_again():
    async with answering("201 Created", SENT[:30], SENT[30:]) as url:
        await send_to(url)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"SMSMessageData":{"Message":"Sent to 1/1"}}',
        b'{"SMSMessageData":{"Recipients":[{"number":"+254712345678","status":"Success"}]}}',
        b'{"SMSMessageData":{"Recipients":[{"statusCode":"101","status":"Success"}]}}',
    ],
)
async def test_a_message_that_was_taken_without_many_words_is_not_sent_again(body):
    async with answering("201 Created", body) as url:
        await send_to(url)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"SMSMessageData":{"Message":"InvalidSenderId","Recipients":[]}}', Refused),
        (b'{"SMSMessageData":{"Recipients":[{"statusCode":403,"status":"InvalidPhoneNumber"}]}}', Refused),
        (b'{"SMSMessageData":{"Recipients":[{"status":"InvalidPhoneNumber"}]}}', Refused),
        (b'{"SMSMessageData":{"Recipients":[{"statusCode":500}]}}', Unavailable),
        (b"<html>Please log in to this network</html>", Unavailable),
    ],
)
async def test_a_message_that_was_not_taken_is_seen(body, error):
    async with answering("200 OK", body) as url:
        with pytest.raises(error):
            await send_to(url)
