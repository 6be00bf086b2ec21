"""Mail by SMTP."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib
import structlog

from penpay.domain.errors import Refused, Unavailable

log = structlog.get_logger()
_NOT_AN_ATOM = re.compile(r"[^A-Za-z0-9-]+")
_TLS_PORT = 465
"""Encrypted from the first byte (RFC 8314); every other port begins in the clear and is upgraded."""


class SmtpMail:
    """`MailGateway`. A mail may arrive twice when an answer is lost: its Message-ID stays the same.

    `insecure` servers are for development: elsewhere nothing is said before the line is encrypted.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        sender: str,
        username: str = "",
        password: str = "",
        insecure: bool = False,
        timeout_s: float = 15.0,
    ) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._username = username
        self._password = password
        self._insecure = insecure
        self._timeout_s = timeout_s

    async def send(self, *, to: str, subject: str, text: str, reference: str) -> None:
        """Send one mail. Raises `Unavailable` (try later) or `Refused`."""
        if not self._host:
            raise Refused("no_mail_server")
        mail = self._composed(to, subject, text, reference)
        tls = self._port == _TLS_PORT
        try:
            await aiosmtplib.send(
                mail,
                hostname=self._host,
                port=self._port,
                username=self._username or None,
                password=self._password or None,
                use_tls=tls,
                start_tls=None if self._insecure or tls else True,
                timeout=self._timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(max(one.code for one in error.recipients)) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error.code) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Unavailable("smtp", 10.0) from error

    def _composed(self, to: str, subject: str, text: str, reference: str) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        try:
            mail["From"] = self._sender
            mail["To"] = Address(addr_spec=to)
            mail["Subject"] = subject
        except (ValueError, IndexError) as error:
            # A line break in a header would begin another header.
            raise Refused("address_invalid") from error
        name = _NOT_AN_ATOM.sub(".", reference)
        mail["Message-ID"] = f"<{name}@{self._sender.rpartition('@')[2].rstrip('>') or 'penpay'}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text)
        return mail


def _refusal(code: int) -> Refused | Unavailable:
    """5yz is final, 4yz passes (RFC 5321, 4.2.1)."""
    return Refused(f"smtp_{code}") if code >= 500 else Unavailable("smtp", 10.0)
