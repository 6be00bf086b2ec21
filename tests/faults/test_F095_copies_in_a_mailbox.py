"""F95: while a storm or a slow ledger holds a saga, what it is told again and again lies in its mailbox once."""

import random
from dataclasses import replace
from typing import Any

from actors.runtime.envelope import Letter, Question
from actors.runtime.mailbox import Mailbox, Offer
from actors.saga import SagaActor
from penpay.messages import CancelTransaction, EvidenceArrived, WakeUp
from tests.actors.house import House
from tests.actors.test_saga import evidence


class Somebody:
    """Who waits for an answer."""

    def done(self) -> bool:
        return False

    def answer(self, value: Any) -> None:
        """Nobody asks here."""

    def refuse(self, error: BaseException) -> None:
        """Nobody asks here."""


def told(mailbox: Mailbox, message: object) -> Offer:
    return mailbox.offer(Letter(message, None, 0.0))


def asked(mailbox: Mailbox, message: object) -> Offer:
    return mailbox.offer(Question(message, None, 0.0, Somebody(), None))


def lying(mailbox: Mailbox) -> list[object]:
    return [letter.message for letter in mailbox.drain()]


async def test_a_held_saga_has_room_for_what_is_new(admitted: House) -> None:
    mailbox = Mailbox(SagaActor.MAILBOX_MAX)
    callback, other = evidence(admitted, "stk", b"{}"), evidence(admitted, "rail", b"{}")
    order = [callback, other, WakeUp()] * SagaActor.MAILBOX_MAX
    random.Random(95).shuffle(order)
    assert {told(mailbox, message) for message in order} == {Offer.ACCEPTED}
    again = EvidenceArrived(replace(callback.row, deliveries=2, suspicion=1))
    assert told(mailbox, again) is Offer.ACCEPTED
    assert asked(mailbox, CancelTransaction("U1")) is Offer.ACCEPTED
    left = lying(mailbox)
    assert sorted(map(repr, left[:-1])) == sorted(map(repr, [callback, other, WakeUp()]))
    assert left[-1] == CancelTransaction("U1")


async def test_whatever_was_taken_may_be_told_again(admitted: House) -> None:
    mailbox, callback = Mailbox(2), evidence(admitted, "stk", b"{}")
    for _ in range(3):
        assert told(mailbox, callback) is Offer.ACCEPTED
        letter = mailbox.take()
        assert letter is not None
        assert letter.message == callback
    assert mailbox.take() is None


async def test_questions_and_other_messages_are_each_their_own(admitted: House) -> None:
    mailbox = Mailbox(2)
    for _ in range(2):
        assert told(mailbox, CancelTransaction("U1")) is Offer.ACCEPTED
    assert told(mailbox, CancelTransaction("U1")) is Offer.FULL
    mailbox = Mailbox(2)
    for _ in range(2):
        assert asked(mailbox, WakeUp()) is Offer.ACCEPTED, "whoever asks is answered"
    assert told(mailbox, WakeUp()) is Offer.FULL, "a question may run out of time, and then nothing was said"
