"""F11: the client leaves in the middle of its request."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("sent", [0.2, 0.7, 0.999, 1.0])
async def test_it_is_taken_wholly_or_not_at_all(stage: Stage, sent: float) -> None:
    who = stage.customer()
    body = json.dumps(stage.body(who)).encode()
    target = urlsplit(stage.installation.node.public_url)
    head = (
        f"POST /api/v1/deposits HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {who.token}\r\n"
        f"Idempotency-Key: left\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    _, writer = await asyncio.open_connection(target.hostname, target.port)
    writer.write(request[: int(len(request) * sent)])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    again = await stage.ask(who, key="left")
    while again.status == 409:
        again = await stage.ask(who, key="left")
    assert again.status == 202, again.body
    assert stage.transactions_of(who) == 1
    await stage.reaches(again.body["id"], "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
