"""`penpay reconcile` against a whole installation: what the rails' truth holds and our books do not."""

import asyncio
import io
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from penpay.adapters.agent_account import AgentReading
from penpay.adapters.system import RandomUlids
from penpay.chaos.books import rows
from penpay.client import Client
from penpay.demo.play import Stage, sign_up
from penpay.demo.rails import SandboxControl
from penpay.domain.money import Money, kes, usd
from penpay.domain.payments import PullRow
from penpay.domain.reconciliation import Booked, Finding, Remedy, Verdict
from penpay.domain.statement import StatementRow
from penpay.ports_rails import PullList
from penpay.provider_lists import Lists
from penpay.reconcile import Report, show
from penpay.stack import PrivateInstallation
from tests.chaos.test_crash_points import dying
from tests.harness.crashing_node import DIED

SETTINGS = {
    "PENPAY_TIMING__SPEED": "300",
    "PENPAY_TIMING__FLOAT_POLL_S": "1",
    # Otherwise the node's own watch over the list would be first.
    "PENPAY_TIMING__PULL_EVERY_S": "86400",
    "PENPAY_NODE__LOG_LEVEL": "warning",
}


@pytest.fixture(scope="module")
def installation():
    with PrivateInstallation(settings=SETTINGS) as running:
        running.start()
        yield running


def penpay(installation: PrivateInstallation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penpay", *words],
        env={**installation.environment, **installation.node.env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def reconciled(installation: PrivateInstallation, *options: str) -> tuple[int, dict]:
    done = penpay(installation, "reconcile", "--json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def decided(installation: PrivateInstallation, item: str, action: str, evidence: str, *yes: str):
    names = ("--by", "Achieng", "--second", "Brian", "--evidence", evidence)
    return penpay(installation, "review", "resolve", item, "--action", action, *names, *yes)


def questions(installation: PrivateInstallation) -> dict[str, dict]:
    return {one["kind"]: one for one in json.loads(installation.run("review", "list", "--json"))}


def until_clean(installation: PrivateInstallation) -> dict:
    """A payment is on its way into the books for two seconds at this speed."""
    for _ in range(10):
        status, report = reconciled(installation)
        if report["clean"]:
            assert status == 0
            return report
    raise AssertionError(report)


async def control(installation: PrivateInstallation, path: str, body: dict) -> dict:
    async with aiohttp.ClientSession() as session, session.post(installation.control_url + path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def deposit(installation: PrivateInstallation, number: int) -> str:
    """One deposit from registration to its end."""
    url = installation.node.public_url
    async with aiohttp.ClientSession() as session:
        client = Client(url, session)
        stage = Stage(url, session, SandboxControl(installation.control_url, session), 20.0)
        await sign_up(stage, client, f"2547{number:08d}", number)
        made = await client.deposit("1300.00", "KES", key=f"k-{number}")
        for _ in range(100):
            shown = await client.transaction(made["id"])
            if shown["status"] == "COMPLETED":
                return str(shown["evidence"]["mpesa_receipt"])
            await asyncio.sleep(0.5)
    raise AssertionError(shown)


async def withdrawal(installation: PrivateInstallation, number: int) -> None:
    """One withdrawal from registration to its end."""
    url, pin = installation.node.public_url, "480375"
    async with aiohttp.ClientSession() as session:
        client, control = Client(url, session), SandboxControl(installation.control_url, session)
        person = await sign_up(Stage(url, session, control, 20.0), client, f"2547{number:08d}", number, balance="50.00")
        await client.set_pin(pin, password=person.password)
        await client.withdrawal_code("20.00")
        code = await control.newest_code(person.email)
        made = await client.withdraw("20.00", code=code, pin=pin, key=f"w-{number}")
        for _ in range(100):
            shown = await client.transaction(made["id"])
            if shown["status"] == "COMPLETED":
                return
            await asyncio.sleep(0.5)
    raise AssertionError(shown)


NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OPENED = NOW - timedelta(hours=6)
OLDER = timedelta(hours=6)


@dataclass
class Sides:
    """Both lists and the books of `Lists`, as far as one item needs them."""

    payments: list[PullRow]
    statement: list[StatementRow]
    complete: bool = True

    async def pull(self, *, since: datetime, until: datetime) -> PullList:
        assert NOW - timedelta(hours=48) < since < until
        return PullList(tuple(row for row in self.payments if since <= row.paid_at <= until), self.complete)

    async def read(self, since: datetime) -> AgentReading:
        return AgentReading([row for row in self.statement if row.at >= since], usd(0), self.complete)

    async def booked(self, kinds, *, account, currency, since, refs) -> dict[str, Booked]:
        assert account in {"mpesa_paybill", "deriv_agent"}
        return {"BOOKED": Booked(ref="BOOKED", amount=kes(500), at=NOW)} if "BOOKED" in refs else {}

    async def claims(self, references) -> dict[str, str]:
        return {"MINE": "op"} if "MINE" in references else {}

    async def awaited(self) -> frozenset[Money]:
        return frozenset({usd(700)})

    async def answered(self) -> Counter[str]:
        return Counter()

    async def booked_since(self, account: str) -> datetime:
        return OPENED

    def now(self) -> datetime:
        return NOW


@pytest.mark.parametrize(
    ("kind", "ref", "hours_ago", "remedy"),
    [
        ("payment", "NOBODYS", 1.0, Remedy.SUSPENSE),
        ("payment", "BOOKED", 1.0, Remedy.NONE),
        ("payment", "NAMED", 1.0, Remedy.LOOK_AGAIN),
        ("payment", "YOUNG", 0.0, Remedy.NONE),
        ("payment", "NOBODYS", 3.0, None),
        ("payment", "BEFORE", 7.0, None),
        ("payment", "NOBODYS", 60.0, None),
        ("payment", "INVENTED", 1.0, None),
        ("credit", "NOBODYS", 1.0, None),
        ("credit", "71", 1.0, Remedy.SUSPENSE),
        ("credit", "72", 1.0, Remedy.NONE),
        ("debit", "73", 1.0, Remedy.REVIEW),
        ("debit", "71", 1.0, None),
    ],
)
async def test_one_item_is_judged_by_what_its_provider_lists(
    kind: str, ref: str, hours_ago: float, remedy: Remedy | None
):
    """Not listed, not then, not of this kind, or older than our books: there is nothing to judge."""
    hour = NOW - timedelta(hours=1)
    paid = [("NOBODYS", "", hour), ("BOOKED", "", hour), ("NAMED", "MINE", hour), ("YOUNG", "", NOW)]
    payments = [PullRow(one, names, kes(500), at) for one, names, at in (*paid, ("BEFORE", "", hour - OLDER))]
    moved = [(71, usd(500)), (72, usd(700)), (73, usd(-500))]
    statement = [
        StatementRow(id=id_, at=hour, action="transfer", amount=amount, balance_after=usd(0)) for id_, amount in moved
    ]
    sides = Sides(payments, statement)
    lists = Lists(payments=sides, agent=sides, books=sides, reads=sides, clock=sides, settle_s=600.0)
    found = await lists.judged(kind, ref, at=NOW - timedelta(hours=hours_ago))
    assert (found.remedy if found is not None else None) == remedy


async def test_a_payment_of_nobody_is_judged_with_the_digits_of_who_paid():
    sides = Sides([PullRow("NOBODYS", "", kes(500), NOW - timedelta(hours=1), "4126")], [])
    lists = Lists(payments=sides, agent=sides, books=sides, reads=sides, clock=sides, settle_s=600.0)
    found = await lists.judged("payment", "NOBODYS", at=NOW - timedelta(hours=1))
    assert found is not None
    assert found.phone_tail == "4126"


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(console, report)
    return console.file.getvalue()


def test_a_report_says_since_when_there_is_nothing_and_what_is_not_listed_yet():
    young = Finding(source="payments", ref="TKK1", verdict=Verdict.NOT_LISTED_YET, words="w", amount=kes(500), at=NOW)
    report = Report(findings=[young], since={"payments": OPENED, "agent": OPENED})
    said = shown(report)
    assert "payments: 1 not listed yet" in said
    assert "agent: nothing since 2026-11-20T06:00:00.000Z" in said
    assert (report.differs, report.as_json()["clean"]) == (False, True)
    assert report.as_json()["since"] == dict.fromkeys(("payments", "agent"), "2026-11-20T06:00:00.000Z")


def test_a_report_says_who_paid_what_nobody_explains():
    finding = Finding(
        source="payments", ref="TKK1", verdict=Verdict.DIFFERS, words="w", amount=kes(500), at=NOW, phone_tail="4126"
    )
    report = Report(findings=[finding])
    assert report.as_json()["findings"][0]["phone_tail"] == "126"
    assert "payer ...126" in shown(report)


async def test_a_list_with_entries_that_cannot_be_read_says_so_of_what_it_does_not_show():
    sides = Sides([], [], complete=False)
    lists = Lists(payments=sides, agent=sides, books=sides, reads=sides, clock=sides, settle_s=600.0)
    for kind in ("payment", "credit"):
        found = await lists.judged(kind, "NOBODYS", at=NOW - timedelta(hours=1))
        assert (found.verdict, found.remedy) == (Verdict.NOT_TOLD, Remedy.NONE)


def test_books_and_rails_agree_after_money_went_both_ways(installation: PrivateInstallation):
    asyncio.run(deposit(installation, 10_000_101))
    asyncio.run(withdrawal(installation, 10_000_102))
    report = until_clean(installation)
    assert report["counts"]["payments: agrees"] >= 1
    assert report["counts"]["agent: agrees"] >= 2
    assert report["counts"]["balance: agrees"] == 3
    assert report["findings"] == []


def test_money_of_nobody_goes_to_suspense_and_before_a_person(installation: PrivateInstallation):
    until_clean(installation)
    paid = asyncio.run(control(installation, "/phones/254710000900/pay", {"amount_kes": 555, "reference": "NOBODY"}))
    receipt = paid["receipt"]
    for _ in range(10):
        status, report = reconciled(installation)
        found = [one for one in report["findings"] if one["ref"] == receipt]
        if found and found[0]["verdict"] == "differs":
            break
    assert status == 1
    assert found[0]["remedy"] == "booked to suspense, a review is open"
    assert (found[0]["amount"], found[0]["currency"]) == ("555.00", "KES")
    listed = json.loads(installation.run("review", "list", "--json"))
    (item,) = [one for one in listed if one["evidence"].get("ref") == receipt]
    assert (item["kind"], item["owner_role"], item["transaction"]) == ("payment_unmatched", "FINANCE", None)
    # The second look finds it in the books, and so does every balance.
    until_clean(installation)
    assert "invariants hold" in installation.run("check")
    decision = ("--action", "own", "--by", "Achieng", "--second", "Brian", "--evidence", "ticket 1", "--yes")
    assert "done" in installation.run("review", "resolve", item["id"], *decision)
    left = [one["id"] for one in json.loads(installation.run("review", "list", "--json"))]
    assert item["id"] not in left


def test_a_dry_run_books_nothing(installation: PrivateInstallation):
    until_clean(installation)
    paid = asyncio.run(control(installation, "/phones/254710000901/pay", {"amount_kes": 20, "reference": "NOBODY"}))
    for _ in range(10):
        status, report = reconciled(installation, "--dry-run")
        found = [one for one in report["findings"] if one["ref"] == paid["receipt"]]
        if found and found[0]["verdict"] == "differs":
            break
    assert status == 1
    listed = json.loads(installation.run("review", "list", "--json"))
    assert not [one for one in listed if one["evidence"].get("ref") == paid["receipt"]]


def differing(installation: PrivateInstallation, verdict: str = "differs") -> dict[str, dict]:
    """What a person must look at, once nothing is too young to be judged any more."""
    for _ in range(10):
        status, report = reconciled(installation)
        found = {one["ref"]: one for one in report["findings"]}
        if found and all(one["verdict"] == verdict for one in found.values()):
            assert status == 1
            return found
    raise AssertionError(report)


def test_dollars_that_came_or_went_by_other_hands_are_found(make_installation):
    installation = make_installation(settings=SETTINGS)
    installation.start()
    asyncio.run(deposit(installation, 10_000_401))
    until_clean(installation)
    # Statement times are whole seconds, and the books speak of the agent since its opening balance.
    asyncio.run(control(installation, "/funds", {"account": "agent", "delta_minor": 12_345}))
    (credit,) = differing(installation).values()
    assert (credit["source"], credit["amount"], credit["currency"]) == ("agent", "123.45", "USD")
    assert credit["remedy"] == "booked to suspense, a review is open"
    until_clean(installation)
    asyncio.run(control(installation, "/funds", {"account": "agent", "delta_minor": -700}))
    first = differing(installation)
    (debit,) = [one for one in first.values() if one["source"] == "agent"]
    assert (debit["amount"], debit["remedy"]) == ("-7.00", "a review is open")
    assert first["deriv_agent"]["words"] == "the provider has 7.00 less than our books"
    # Asked about once; the difference stays until a person has booked it.
    again = differing(installation)
    assert again[debit["ref"]]["remedy"] is None
    kinds = [one["kind"] for one in json.loads(installation.run("review", "list", "--json"))]
    assert kinds.count("debit_unmatched") == 1
    assert kinds.count("credit_unmatched") == 1


def test_the_node_itself_finds_another_amount_than_booked_and_dollars_that_left(make_installation):
    """F55. Once for each, and whoever compares by hand then asks nothing again."""
    installation = make_installation(settings={**SETTINGS, "PENPAY_TIMING__PULL_EVERY_S": "60"})
    installation.start()
    until_clean(installation)
    step = {"op": "paymentagent_transfer", "fault": "other_amount", "amount": "1.00", "times": 0}
    asyncio.run(control(installation, "/deriv/script", {"steps": [step]}))
    asyncio.run(deposit(installation, 10_000_501))
    asyncio.run(control(installation, "/funds", {"account": "agent", "delta_minor": -700}))
    wanted = {"movement_differs", "debit_unmatched"}
    for _ in range(60):
        asked = json.loads(installation.run("review", "list", "--json"))
        if wanted <= {one["kind"] for one in asked}:
            break
    assert sorted(one["kind"] for one in asked) == sorted(wanted)
    (differs,) = [one for one in asked if one["kind"] == "movement_differs"]
    assert (differs["owner_role"], differs["evidence"]["listed"]) == ("FINANCE", "-1.00 USD")
    assert differs["evidence"]["booked"] != "-1.00 USD"
    assert differs["evidence"]["transaction"]
    found = differing(installation)
    assert found[differs["evidence"]["ref"]]["remedy"] == "a review of both amounts is open"
    assert len(json.loads(installation.run("review", "list", "--json"))) == len(wanted)
    assert "reconciliation" in installation.run("tree")
    with urllib.request.urlopen(f"{installation.node.internal_url}/metrics") as told:
        (line,) = [one for one in told.read().decode().splitlines() if one.startswith("penpay_agent_compared")]
    assert abs(datetime.now(UTC).timestamp() - float(line.split()[1])) < 600
    assert "invariants hold" in installation.run("check")


def shown_by_agent(installation: PrivateInstallation) -> list[dict]:
    """What the agent's statement shows and our books do not; nothing is booked."""
    return [one for one in reconciled(installation, "--dry-run")[1]["findings"] if one["source"] == "agent"]


def close_the_gate(installation: PrivateInstallation) -> None:
    """As after a restore: the database is behind what the node has witnessed."""
    installation.node.stop()
    (witness,) = Path(installation.environment["PENPAY_NODE__STATE_DIR"]).rglob("witness.json")
    before = json.loads(witness.read_text())
    lost = {**before, "units": {shard: seq + 5 for shard, seq in before["units"].items()}}
    witness.write_text(json.dumps(lost))
    installation.node.start()


@pytest.mark.parametrize(
    ("moved", "posted", "rest"),
    [("1.00", {"deriv_agent:USD": 1, "suspense:USD": -1}, True), ("20.00", {"write_off:USD": 1}, False)],
)
def test_people_correct_another_amount_than_booked_and_the_gate_opens(make_installation, moved: str, posted, rest):
    """F55. Fewer dollars moved than booked: the rest is set aside. More: they are our loss."""
    installation = make_installation(settings=SETTINGS)
    installation.start()
    until_clean(installation)
    step = {"op": "paymentagent_transfer", "fault": "other_amount", "amount": moved, "times": 1}
    asyncio.run(control(installation, "/deriv/script", {"steps": [step]}))
    asyncio.run(deposit(installation, 10_000_601))
    differing(installation)
    close_the_gate(installation)
    differing(installation)
    item = questions(installation)["movement_differs"]
    assert item["actions"] == ["correct"]
    stays = decided(installation, item["id"], "close", "ticket 1", "--yes")
    assert (stays.returncode, "close is refused" in stays.stdout) == (1, True), stays.stdout
    shown = json.loads(decided(installation, item["id"], "correct", "ticket 2", "--json").stdout)
    legs = {f"{one['account']}:{one['currency']}": one["amount_minor"] for one in shown["postings"]}
    gap = abs(legs["deriv_agent:USD"])
    assert legs.items() >= {name: sign * gap for name, sign in posted.items()}.items()
    assert "movement_differs" in questions(installation), "only shown"
    done = decided(installation, item["id"], "correct", "ticket 2", "--yes")
    assert (done.returncode, "done" in done.stdout) == (0, True), done.stderr
    again = decided(installation, item["id"], "correct", "ticket 3", "--yes")
    assert (again.returncode, "was closed" in again.stdout) == (1, True), again.stderr
    report = until_clean(installation)
    assert report["opened_shards"] == [0, 1, 2, 3]
    assert "invariants hold" in installation.run("check")
    left = questions(installation)
    assert left.keys() == ({"credit_surplus"} if rest else set())
    for one in left.values():
        # People give it back from Deriv's own page; what that left in the statement is what they name.
        asyncio.run(control(installation, "/funds", {"account": "agent", "delta_minor": -gap}))
        by_hand = next(found for _ in range(10) for found in shown_by_agent(installation))
        assert "done" in decided(installation, one["id"], "settle", by_hand["ref"], "--yes").stdout
    assert until_clean(installation)["findings"] == []
    assert "invariants hold" in installation.run("check")


def asked_when_the_list_showed(installation: PrivateInstallation, listed: str, line: dict) -> str:
    """The question about a line of the statement, from when it showed another amount; its id."""
    now, id_ = datetime.now(UTC).replace(tzinfo=None), RandomUlids().ulid()
    told = {"ref": line["ref"], "listed": listed, "booked": f"{line['words'].rpartition(' ')[2]} USD", "at": line["at"]}
    rows(
        installation,
        "INSERT INTO {ledger}.review_items"
        " VALUES (%s, 0, '', '', 'movement_differs', '?', 'FINANCE', %s, %s, %s, NULL, '')",
        *(id_, json.dumps(told), now, now),
    )
    return id_


def asked_about(installation: PrivateInstallation, ref: str) -> list[tuple[str, str]]:
    """Open questions about a movement: ids, and what they say is listed."""
    listed = json.loads(installation.run("review", "list", "--json"))
    return [(one["id"], one["evidence"]["listed"]) for one in listed if one["evidence"].get("ref") == ref]


def test_a_node_that_dies_while_one_question_takes_the_place_of_another_leaves_one(make_installation):
    """F55. The list shows other amounts than people were asked about; the node dies around the unit that says so."""
    installation = make_installation(settings=SETTINGS)
    installation.start()
    until_clean(installation)
    step = {"op": "paymentagent_transfer", "fault": "other_amount", "amount": "1.00", "times": 1}
    asyncio.run(control(installation, "/deriv/script", {"steps": [step]}))
    asyncio.run(deposit(installation, 10_000_701))
    (line,) = next(found for _ in range(10) if (found := shown_by_agent(installation)))
    item = asked_when_the_list_showed(installation, "-2.00 USD", line)

    async def dies(when: str) -> None:
        async with dying(installation.node, f"unit ledger.differs:{when}"):
            lost = await asyncio.to_thread(decided, installation, item, "correct", "ticket 1", "--yes")
            assert lost.returncode != 0, lost.stdout
            assert installation.node.exit_code == DIED, installation.node.log_tail()

    asyncio.run(dies("before"))
    assert asked_about(installation, line["ref"]) == [(item, "-2.00 USD")]
    asyncio.run(dies("after"))
    ((instead, listed),) = asked_about(installation, line["ref"])
    assert (instead != item, listed) == (True, "-1.00 USD")
    assert "done" in decided(installation, instead, "correct", "ticket 2", "--yes").stdout
    assert questions(installation).keys() == {"credit_surplus"}
    assert "invariants hold" in installation.run("check")
    installation.run("audit", "verify")


def test_shillings_missing_from_the_paying_account_are_found_by_their_balance(make_installation):
    installation = make_installation(settings=SETTINGS)
    installation.start()
    until_clean(installation)
    asyncio.run(control(installation, "/funds", {"account": "utility", "delta_minor": -5_000}))
    found = differing(installation)
    assert found.keys() == {"mpesa_utility"}
    assert found["mpesa_utility"]["words"] == "the provider has 50.00 less than our books"


def test_without_its_node_nothing_is_called_clean(make_installation):
    installation = make_installation(settings=SETTINGS)
    installation.start()
    until_clean(installation)
    installation.node.stop()
    told = differing(installation, "not told")
    assert told.keys() == {"mpesa_paybill", "mpesa_utility"}


def test_a_gate_that_a_lost_commit_closed_is_opened_by_a_clean_comparison(make_installation):
    installation = make_installation(settings=SETTINGS)
    installation.start()
    asyncio.run(deposit(installation, 10_000_301))
    until_clean(installation)
    close_the_gate(installation)
    report = until_clean(installation)
    assert report["opened_shards"] == [0, 1, 2, 3]
    assert until_clean(installation)["opened_shards"] == []
    assert "whole" in installation.run("audit", "verify")
    asyncio.run(deposit(installation, 10_000_302))


def test_a_verification_reaches_what_was_committed_a_moment_ago(make_installation):
    installation = make_installation(settings=SETTINGS)
    installation.start()
    asyncio.run(deposit(installation, 10_000_401))
    state = Path(installation.environment["PENPAY_NODE__STATE_DIR"])
    assert not list(state.rglob("anchors.jsonl"))
    verdicts = json.loads(installation.run("audit", "verify", "--json"))
    assert all(one["anchors"] == bool(one["rows"]) for one in verdicts)
    installation.node.stop()
    assert "whole" in installation.run("audit", "verify")
