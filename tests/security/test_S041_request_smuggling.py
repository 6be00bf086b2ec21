"""S41: a request that two readers could understand in two ways is understood by nobody, and nothing follows it."""

from tests.http.test_edge import raw
from tests.http.world import World

NEXT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
START = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CORPUS = {
    "length and chunks": START + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": START + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "lengths in a list": START + b"Content-Length: 2, 3\r\n\r\n{}x",
    "a signed length": START + b"Content-Length: +2\r\n\r\n{}",
    "a length in hex": START + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with a blank": START + b"Content-Length : 2\r\n\r\n{}",
    "a folded field": START + b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "another coding": START + b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
    "a coding with a tab": START + b"Transfer-Encoding:\tchunked, identity\r\nContent-Length: 2\r\n\r\n{}",
    "coding twice": START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a vertical tab": START + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 2\r\n\r\n{}",
    "a nul": START + b"X-A: \x00\r\nContent-Length: 2\r\n\r\n{}",
    "a bare return": START + b"X-A: b\rContent-Length: 0\r\nContent-Length: 2\r\n\r\n{}",
    "a bad chunk": START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": START + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk without its end": START + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    "two hosts": b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /api/v1/me HTTP/1.1\r\n\r\n",
    "a blank in the line": b"GET /api/v1/me x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an old version": b"GET /api/v1/me HTTP/0.9\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


async def test_each_is_refused_and_what_hides_behind_it_is_not_answered(world: World):
    for name, text in CORPUS.items():
        answer = await raw(world, text + NEXT)
        assert answer.split(b" ")[1].startswith(b"4"), (name, answer[:200])
        assert answer.count(b"HTTP/1.") == 1, (name, answer[:400])
        assert b'"openapi"' not in answer, name
