"""A mail server that takes everything and shows it (RFC 5321, as much as a client that sends needs)."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

from penpay.sandbox.facts import Mail
from penpay.sandbox.ids import now_epoch_s
from penpay.sandbox.truth import Truth

_PATH = re.compile(rb"(?:FROM|TO):\s*<([^<>\s]{0,254})>", re.IGNORECASE)
_LINE_MAX = 1 << 20


@dataclass(slots=True, kw_only=True)
class MailKnobs:
    """The mood of the mail server. `fail` is how many mails to refuse next with `status`."""

    fail: int = 0
    status: int = 451
    latency_s: float = 0.0
    reject: list[str] = field(default_factory=list)
    """Addresses that it does not know."""


class MailServer:
    """Listens on a port of its own beside the sandbox's HTTP."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.knobs = MailKnobs()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> int:
        """Begin to listen; answers the port."""
        self._server = await asyncio.start_server(self._serve, host, 0, limit=_LINE_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            await _Dialogue(reader, writer, self.knobs, self._truth).run()
        writer.close()


class _Dialogue:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, knobs: MailKnobs, truth: Truth
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._knobs = knobs
        self._truth = truth
        self._sender = ""
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say("220 sandbox.example ESMTP")
        while line := await self._reader.readline():
            verb, _, rest = line.strip().partition(b" ")
            match verb.upper():
                case b"EHLO":
                    await self._say("250-sandbox.example", "250 8BITMIME")
                case b"HELO" | b"NOOP":
                    await self._say("250 OK")
                case b"RSET":
                    self._recipients.clear()
                    await self._say("250 OK")
                case b"MAIL":
                    await self._from(rest)
                case b"RCPT":
                    await self._to(rest)
                case b"DATA":
                    await self._data()
                case b"QUIT":
                    await self._say("221 bye")
                    return
                case _:
                    await self._say("502 not implemented")

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()

    async def _from(self, rest: bytes) -> None:
        if self._knobs.latency_s:
            await asyncio.sleep(self._knobs.latency_s)
        path = _PATH.match(rest)
        if self._knobs.fail > 0:
            self._knobs.fail -= 1
            await self._say(f"{self._knobs.status} not now")
        elif path is None:
            await self._say("501 syntax error")
        else:
            self._sender = path[1].decode()
            await self._say("250 OK")

    async def _to(self, rest: bytes) -> None:
        path = _PATH.match(rest)
        address = path[1].decode() if path else ""
        if not address or address in self._knobs.reject:
            await self._say("550 no such mailbox")
            return
        self._recipients.append(address)
        await self._say("250 OK")

    async def _data(self) -> None:
        if not self._recipients:
            await self._say("503 no recipients")
            return
        await self._say("354 go ahead")
        lines = []
        while (line := await self._reader.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=default)
        body = mail.get_body(("plain",))
        text = body.get_content().replace("\r\n", "\n") if body is not None else ""
        for recipient in self._recipients:
            self._truth.record(
                Mail(
                    str(mail["Message-ID"] or ""),
                    recipient,
                    self._sender,
                    str(mail["Subject"] or ""),
                    text,
                    now_epoch_s(),
                )
            )
        await self._truth.durable()
        self._recipients = []
        await self._say("250 taken")
