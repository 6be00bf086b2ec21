"""The body of an answer, whole and bounded."""

import aiohttp


async def body_of(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    """All of it, or its first `at_most` bytes. One read tells only what has come so far, maybe half a number."""
    raw = b""
    while len(raw) < at_most and (piece := await response.content.read(at_most - len(raw))):
        raw += piece
    return raw
