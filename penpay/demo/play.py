"""One customer of the demo, from registration to the end of their transaction."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from penpay.client import JSON, ApiProblem, Client
from penpay.demo.rails import SandboxControl
from penpay.demo.scenarios import Scenario

_CODE = re.compile(r"\b(\d{6})\b")
LOOK_S = 1.5
"""Between two looks at a transaction: a customer may read sixty times a minute."""
TRIES_MAX = 10
PIN = "274913"
FINAL = frozenset({"COMPLETED", "FAILED", "REVERSED", "IN_REVIEW"})


@dataclass(slots=True)
class Played:
    """One played transaction and where it stands."""

    scenario: Scenario
    number: int
    transaction_id: str = ""
    status: str = "-"
    stage: str = "-"
    problem: str = ""
    receipt: str = ""
    loginid: str = ""
    trace: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """It ended as its scenario says, with its evidence."""
        shown = bool(self.receipt) or not self.scenario.receipt or self.scenario.ends == "FAILED"
        return self.status == self.scenario.ends and shown and not self.problem


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays."""

    public_url: str
    session: aiohttp.ClientSession
    control: SandboxControl
    end_within_s: float


async def play(stage: Stage, played: Played, changed: Callable[[], None]) -> None:
    """Register, link, script the rails, ask, and watch until the end or the time is over."""
    scenario = played.scenario
    try:
        client = Client(stage.public_url, stage.session)
        msisdn = f"2547{played.number:08d}"
        person = await sign_up(stage, client, msisdn, played.number, balance=f"{4 * scenario.usd}.00")
        played.loginid = person.loginid
        if scenario.usd:
            asked = await _withdraw(stage, client, person, played, msisdn)
        else:
            await stage.control.script_phone(msisdn, scenario.phone)
            await stage.control.script_transfer(played.loginid, scenario.deriv)
            amount = f"{scenario.kes + 10 * (played.number % 40)}.00"
            asked = await _patiently(lambda key: client.deposit(amount, "KES", key=key))
        played.transaction_id = str(asked["id"])
        changed()
        if scenario.forged:
            await _forge(stage, msisdn)
        await _watch(stage, client, played, changed)
    except (ApiProblem, aiohttp.ClientError, TimeoutError, RuntimeError, LookupError) as error:
        played.problem = f"{type(error).__name__}: {error}"
    changed()


async def _withdraw(stage: Stage, client: Client, person: "Person", played: Played, msisdn: str) -> JSON:
    """Set a PIN, have the code mailed, read it, and ask; a wrong PIN is refused and moves nothing."""
    scenario = played.scenario
    amount = f"{scenario.usd}.{played.number % 100:02d}"
    await client.set_pin(PIN, password=person.password)
    await stage.control.script_debit(amount, scenario.deriv)
    await stage.control.script_payout(msisdn, scenario.b2c)
    await _patiently(lambda _key: client.withdrawal_code(amount))
    code = await stage.control.newest_code(person.email)
    if scenario.wrong_pin:
        try:
            await client.withdraw(amount, code=code, pin="190573", key=secrets.token_hex(8))
        except ApiProblem as problem:
            if problem.code != "pin_wrong":
                raise
        else:
            raise RuntimeError("a wrong PIN was accepted")
    return await _patiently(lambda key: client.withdraw(amount, code=code, pin=PIN, key=key))


async def _patiently(ask: Callable[[str], Awaitable[JSON]]) -> JSON:
    """Ask with one key; what is answered 503 is asked again as the answer says, for the key makes that safe."""
    key = secrets.token_hex(8)
    for _ in range(TRIES_MAX):
        try:
            return await ask(key)
        except ApiProblem as problem:
            if problem.status != 503:
                raise
            await asyncio.sleep(float(problem.body.get("retry_after_s") or 1))
    raise TimeoutError("the node stayed unavailable")


@dataclass(frozen=True, slots=True)
class Person:
    """A customer who may played."""

    email: str
    password: str
    loginid: str


async def sign_up(stage: Stage, client: Client, msisdn: str, number: int, *, balance: str = "0.00") -> Person:
    """Register, verify the phone, sign in, link a Deriv account of the same name: what the app would do."""
    # Neither the phone nor the address may be part of a password.
    email, password = f"customer{number}@example.com", f"a long enough password, {_letters(number)}"
    name = f"Wanjiru Kamau {_letters(number)}"
    await client.register(email=email, phone=f"+{msisdn}", password=password, full_name=name)
    await client.verify_phone(f"+{msisdn}", await _sms_code(stage, msisdn))
    await client.login(email=email, password=password, device_id=device_of(number))
    customer = await stage.control.post("/deriv/customers", {"fullname": name, "email": email, "balance": balance})
    loginid = str(customer["loginid"])
    async with stage.session.get(f"{await client.link_deriv()}&login={loginid}", allow_redirects=False) as page:
        back = page.headers["Location"]
    parts = urlsplit(back)
    async with stage.session.get(
        f"{stage.public_url}{parts.path}?{parts.query}", headers={"Accept": "application/json"}
    ) as linked:
        if linked.status != 200:
            raise RuntimeError(f"linking answered {linked.status}: {await linked.text()}")
    return Person(email, password, loginid)


def device_of(number: int) -> str:
    """The device this person signs in from first. Another one would hold withdrawals for a day."""
    return f"demo-{number}"


def _letters(number: int) -> str:
    """A family name without digits, as Deriv shows names."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number)).title()


async def _sms_code(stage: Stage, msisdn: str) -> str:
    for _ in range(200):
        found = _CODE.search(await stage.control.newest_sms(msisdn))
        if found:
            return found[1]
        await asyncio.sleep(0.05)
    raise TimeoutError("no SMS with a code arrived")


async def _forge(stage: Stage, msisdn: str) -> None:
    """A stranger posts a perfect success callback to a made-up address."""
    url = f"{stage.public_url}/cb/d/{secrets.token_hex(35)}"
    answer = await stage.control.post("/forge", {"url": url, "amount_kes": 2100, "msisdn": msisdn})
    if answer["status"] != 404:
        raise RuntimeError(f"a forged callback was answered {answer['status']}, not 404")


async def _watch(stage: Stage, client: Client, played: Played, changed: Callable[[], None]) -> None:
    seen: list[str] = []
    async with asyncio.timeout(stage.end_within_s):
        while True:
            now = await client.transaction(played.transaction_id)
            if not seen or seen[-1] != now["stage"]:
                seen.append(str(now["stage"]))
            played.status, played.stage = str(now["status"]), str(now["stage"])
            played.receipt = str(now["evidence"].get("mpesa_receipt") or "")
            played.trace = tuple(seen)
            changed()
            if played.status in FINAL:
                return
            await asyncio.sleep(LOOK_S)
