"""Whose a Result is: the ids that it tells against those that we know of our request. Pure.

Source: the Daraja reference, parts 4.4 and 8. A post to our own URL proves no more than that somebody knows the URL.
"""

from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """What the ids come to."""

    OURS = "ours"
    ANOTHER = "another"
    UNTOLD = "untold"
    """There is nothing to compare: it may be ours, and alone it proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of one request of ours, over all of its attempts."""

    conversation_id: str = ""
    """Safaricom's id, from its acknowledgement; empty before that, and a result may come earlier."""
    originator_conversation_id: str = ""
    """The id that we chose, if we did. Whether results repeat it is not documented."""
    unanswered: bool = False
    """An attempt ended without an acknowledgement: Safaricom may know it by an id that we were never told."""

    def owner(self, *, conversation_id: str, originator_conversation_id: str) -> Owner:
        """Whose a result with these ids is. One that agrees is enough, for the other may be a form of Safaricom's."""
        ours = ((self.conversation_id, conversation_id), (self.originator_conversation_id, originator_conversation_id))
        compared = [known == told for known, told in ours if known and told]
        if any(compared):
            return Owner.OURS
        return Owner.ANOTHER if compared and self.conversation_id and not self.unanswered else Owner.UNTOLD
