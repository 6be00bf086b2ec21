"""Text messages."""

from actors.courier import CourierActor
from penpay.messages_rails import SendSms


class SmsActor(CourierActor):
    """Sends `SendSms` through a `SmsGateway`."""

    TAKES = SendSms
    NAME = "sms"

    async def deliver(self, message: SendSms) -> None:
        """One text message."""
        await self._gateway.send(to=message.to, text=message.text)
