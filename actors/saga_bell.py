"""The bell of a saga, for whoever has evidence about its operations."""

import structlog

from actors.base import MailboxFull
from penpay.messages import saga_of
from penpay.ports import Addresses

log = structlog.get_logger("penpay.rails")


def tell_saga(addresses: Addresses, shard: int, transaction_id: str, message: object) -> None:
    """Ring a saga's bell. What is told can be read or asked again, so a full mailbox is no loss."""
    try:
        addresses.tell(saga_of(shard, transaction_id), message)
    except MailboxFull:
        log.debug("saga is busy", shard=shard, message_type=type(message).__name__)
