"""Mail."""

from actors.courier import CourierActor
from penpay.messages_rails import SendMail


class MailActor(CourierActor):
    """Sends `SendMail` through a `MailGateway`."""

    TAKES = SendMail
    NAME = "mail"

    async def deliver(self, message: SendMail) -> None:
        """One mail."""
        await self._gateway.send(to=message.to, subject=message.subject, text=message.text, reference=message.reference)
