"""Mail, against the sandbox's server: what is final, what passes, and what is said about an ended transaction."""

import pytest

from actors.courier import GIVEN_UP, REFUSED, SENT, CourierSettings
from actors.mail import MailActor
from penpay.adapters.mail import SmtpMail
from penpay.domain.errors import Refused, Unavailable
from penpay.domain.mails import ENDS, is_end, mail_of
from penpay.domain.presentation import evidence_of, render_transaction
from penpay.messages_rails import SendMail
from tests.identity.test_presentation import AT, row
from tests.rails.fakes import inside, until

MAIL = SendMail(
    to="wanjiku@example.com", subject="Hello", text="Habari, Wanjikũ.\n.\nBye", reference="01M8E5YV7DGJCRWADT4W16ARVM:4"
)


@pytest.fixture
def gateway(sandbox_rails) -> SmtpMail:
    env = sandbox_rails.env
    return SmtpMail(
        host=env["PENPAY_SMTP__HOST"],
        port=int(env["PENPAY_SMTP__PORT"]),
        sender=env["PENPAY_SMTP__FROM"],
        insecure=True,
        timeout_s=5.0,
    )


async def send(gateway: SmtpMail, **other: str) -> None:
    usual = {"to": MAIL.to, "subject": MAIL.subject, "text": MAIL.text, "reference": MAIL.reference}
    await gateway.send(**{**usual, **other})


async def test_a_mail_arrives_as_it_was_written(gateway, sandbox_rails):
    await send(gateway)
    (mail,) = (await sandbox_rails.control("/mail?to=wanjiku@example.com"))["messages"]
    assert (mail["subject"], mail["text"].strip()) == ("Hello", MAIL.text)
    assert mail["message_id"] == "<01M8E5YV7DGJCRWADT4W16ARVM.4@penpay.example>"
    assert mail["sender"] == "no-reply@penpay.example"


async def test_an_unknown_mailbox_is_final_and_a_busy_server_passes(gateway, sandbox_rails):
    await sandbox_rails.control("/mail", {"reject": ["nobody@example.com"], "fail": 1, "status": 451})
    with pytest.raises(Unavailable):
        await send(gateway)
    with pytest.raises(Refused, match="550"):
        await send(gateway, to="nobody@example.com")
    await sandbox_rails.control("/mail", {"fail": 1, "status": 554})
    with pytest.raises(Refused, match="554"):
        await send(gateway)


@pytest.mark.parametrize(
    "to", ["a@example.com\r\nBcc: all@example.com", "a b@example.com", "", "a@example.com, b@x.com"]
)
async def test_an_address_adds_no_header_and_no_recipient(gateway, sandbox_rails, to: str):
    with pytest.raises(Refused):
        await send(gateway, to=to)
    assert (await sandbox_rails.control("/mail"))["messages"] == []


async def test_a_subject_adds_no_header(gateway):
    with pytest.raises(Refused):
        await send(gateway, subject="Hello\r\nBcc: all@example.com")


async def test_nothing_is_said_in_the_clear_outside_development(gateway, sandbox_rails):
    env = sandbox_rails.env
    strict = SmtpMail(host=env["PENPAY_SMTP__HOST"], port=int(env["PENPAY_SMTP__PORT"]), sender="a@penpay.example")
    with pytest.raises(Unavailable):
        await send(strict)
    assert (await sandbox_rails.control("/mail"))["messages"] == []


async def test_nobody_listening_is_away(gateway):
    gone = SmtpMail(host="127.0.0.1", port=1, sender="a@penpay.example", insecure=True)
    with pytest.raises(Unavailable):
        await send(gone)


async def test_who_asks_the_actor_hears_the_end(gateway, sandbox_rails):
    await sandbox_rails.control("/mail", {"fail": 2, "status": 421, "reject": ["nobody@example.com"]})
    ref = MailActor.start(gateway, CourierSettings(retry_s=0.01))
    assert await ref.aask(MAIL, timeout_s=10) == SENT
    nobody = SendMail(to="nobody@example.com", subject="x", text="x", reference="e-2")
    assert await ref.aask(nobody, timeout_s=10) == REFUSED
    await sandbox_rails.control("/mail", {"fail": 100, "status": 421})
    assert await ref.aask(MAIL, timeout_s=10) == GIVEN_UP
    assert inside(ref).observable_state()["given_up"] == 1
    await ref.shutdown(5)


async def test_who_only_tells_waits_for_nothing(gateway, sandbox_rails):
    ref = MailActor.start(gateway, CourierSettings(retry_s=0.01))
    ref.tell(MAIL)
    await until(lambda: inside(ref).observable_state()["done"])
    assert len((await sandbox_rails.control("/mail"))["messages"]) == 1
    await ref.shutdown(5)


@pytest.mark.parametrize(("type_", "status"), ENDS)
def test_every_end_has_its_mail(type_: str, status: str):
    ended = row(type=type_, status=status, state=status, completed_at=AT, data='{"receipt":"TKK1ABC2DE"}')
    transaction = render_transaction(ended, evidence_of(ended))
    assert is_end(transaction)
    subject, text = mail_of(transaction, "Wanjiku Kamau")
    assert subject == f"PenPay: {ENDS[type_, status]}"
    assert "Dear Wanjiku Kamau," in text
    assert transaction["id"] in text
    assert ("TKK1ABC2DE" in text) == (status == "COMPLETED")


def test_a_failure_is_told_with_what_to_do():
    failed = row(status="FAILED", state="FAILED", completed_at=AT, failure_code="mpesa_1032")
    _, text = mail_of(render_transaction(failed, {}), "Wanjiku")
    assert "cancelled on the phone" in text
    assert "Start a new deposit." in text


def test_what_is_learned_after_the_end_is_no_second_end():
    later = row(status="COMPLETED", state="COMPLETED", completed_at=AT, updated_at=AT.replace(hour=10))
    assert not is_end(render_transaction(later, {}))
    assert not is_end(render_transaction(row(), {}))
    assert not is_end({})
