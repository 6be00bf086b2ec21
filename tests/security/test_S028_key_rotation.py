"""S28: the field key changes while customers are served, the old one goes, and a forgotten customer stays forgotten."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from config.keys import new_key
from penpay.adapters.crypto import KeySealer
from penpay.adapters.deriv_link_store import MySqlDerivLinks
from penpay.adapters.identity_store import MySqlIdentities
from penpay.adapters.index_store import MySqlIndexes, Reindexed
from penpay.adapters.key_store import MySqlKeys
from penpay.adapters.system import SystemClock
from penpay.bench.seed import Customer as Seeded
from penpay.bench.seed import seed
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.faults.stage import SETTINGS, WAITS, Stage
from tests.http.test_passwords import ask_code
from tests.http.test_phones import change_phone
from tests.http.test_sign_in import registration
from tests.http.world import Customer, World, login, new_phone, signed_in

OLD, NEW = b"k" * 31 + b"1", b"n" * 31 + b"2"
INDEX = b"b" * 31 + b"1"


@pytest.fixture
def sealer() -> KeySealer:
    """The listener's own: it has learned the new key and seals with it, while rows are under the old one."""
    return KeySealer(keys={1: OLD, 2: NEW}, current=2, blind_index_key=INDEX)


async def old_customers(world: World, stores, count: int) -> Sequence[Customer]:
    """Customers whose rows were written before the change."""
    before = KeySealer(keys={1: OLD}, current=1, blind_index_key=INDEX)
    now = world.edge.accounts, world.edge.links
    object.__setattr__(world.edge, "accounts", MySqlIdentities(stores, before))
    object.__setattr__(world.edge, "links", MySqlDerivLinks(stores, before))
    customers = [await signed_in(world) for _ in range(count)]
    for name, value in zip(("accounts", "links"), now, strict=True):
        object.__setattr__(world.edge, name, value)
    return customers


def versions(module_database) -> set[int]:
    return {
        int.from_bytes(wrapped[1:5]) for (wrapped,) in module_database.rows("SELECT wrapped FROM {users}.data_keys")
    }


async def test_nothing_fails_meanwhile_and_the_old_key_may_go(world: World, stores, sealer, module_database):
    customers = await old_customers(world, stores, 12)
    assert versions(module_database) == {1}
    keys = MySqlKeys(stores, sealer)
    turning = asyncio.Event()

    async def load(customer: Customer) -> set[int]:
        statuses = set()
        while not turning.is_set():
            statuses.add((await customer.call("GET", "/me")).status)
            statuses.add((await customer.call("GET", "/deriv/link")).status)
        return statuses

    async def turn() -> None:
        while 1 in versions(module_database):
            await keys.rewrap(batches_max=1)
        turning.set()

    # The limit of reads would answer first.
    world.edge.rate_limits.wait_s = nothing_waits
    *served, fresh, _ = await asyncio.gather(*(load(one) for one in customers), signed_in(world), turn())
    assert set.union(*served) == {200}
    assert versions(module_database) == {2}
    without = KeySealer(keys={2: NEW}, current=2, blind_index_key=INDEX)
    accounts, links = MySqlIdentities(stores, without), MySqlDerivLinks(stores, without)
    for customer in (*customers, fresh):
        profile = await accounts.profile(customer.id)
        assert profile is not None
        assert profile.email == customer.email
        assert (await links.deriv_link(customer.id)).token == f"a1-CR{customer.phone[3:]}"


async def nothing_waits(_hits: object) -> int:
    return 0


async def test_a_key_that_was_forgotten_meanwhile_does_not_come_back(world: World, stores, sealer, module_database):
    (customer,) = await old_customers(world, stores, 1)
    keys = MySqlKeys(stores, sealer)
    asked = stores.write

    async def forget_first(statement: str, **more: object) -> int:
        module_database.rows("DELETE FROM {users}.data_keys WHERE user_id = %s", (customer.id,))
        return await asked(statement, **more)

    stores.write = forget_first
    await keys.rewrap(batches_max=5)
    assert module_database.rows("SELECT 1 FROM {users}.data_keys WHERE user_id = %s", (customer.id,)) == []


async def test_what_belongs_to_no_customer_survives_the_old_key(stores, sealer, module_database):
    """Evidence lies in tables where nobody may change a body: it is under the installation's own data key."""
    before = KeySealer(keys={1: OLD}, current=1, blind_index_key=INDEX)
    now = SystemClock().now()
    await MySqlKeys(stores, before).adopt(at=now)
    sealed = before.seal(b"evidence", aad="callback_inbox|sealed_body|1")
    turning = MySqlKeys(stores, sealer)
    await turning.adopt(at=now)
    assert sealer.open(sealed, aad="callback_inbox|sealed_body|1") == b"evidence"
    await turning.rewrap(batches_max=50)
    after = KeySealer(keys={2: NEW}, current=2, blind_index_key=INDEX)
    await MySqlKeys(stores, after).adopt(at=now)
    assert after.open(sealed, aad="callback_inbox|sealed_body|1") == b"evidence"
    assert after.open(sealer.seal(b"more", aad="x"), aad="x") == b"more"
    foreign = KeySealer(keys={3: b"f" * 32}, current=3, blind_index_key=INDEX)
    with pytest.raises(ValueError, match="gone"):
        await MySqlKeys(stores, foreign).adopt(at=now)


SEALED = {
    **dict.fromkeys(("users.email_sealed", "users.phone_sealed", "users.name_sealed"), "users"),
    **dict.fromkeys(("deriv_links.token_sealed", "deriv_links.fullname_sealed", "deriv_links.email_sealed"), "users"),
    **dict.fromkeys(("name_matches.name_sealed", "notices.phone_sealed", "refresh_tokens.successor_sealed"), "users"),
    **dict.fromkeys(("provider_operations.sealed_request", "rail_attempts.sealed_body"), "ledger"),
    **dict.fromkeys(("callback_inbox.sealed_body", "answers.sealed_body"), "ledger"),
}
"""Everything that a key seals, and the schema that it stands in."""


def test_the_list_of_sealed_columns_is_complete(module_database):
    """A sealed column that nobody lists is one that nobody looked at when a key goes."""
    found = {}
    for schema in ("users", "ledger", "audit"):
        found |= {
            f"{table}.{column}": schema
            for table, column in module_database.rows(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = %s AND column_name LIKE '%%sealed%%'",
                (module_database.schema(schema),),
            )
        }
    assert found == SEALED


async def test_no_field_of_a_customer_depends_on_a_field_key_itself(world: World, stores, sealer, module_database):
    """Only wrapped data keys do, and those are wrapped anew: so a field key that went leaves nothing unreadable."""
    await MySqlKeys(stores, sealer).adopt(at=SystemClock().now())
    someone = await signed_in(world)
    renewed = {"refresh_token": someone.refresh, "device_id": someone.device}
    someone.access = (await world.call("POST", "/auth/refresh", renewed)).body["access_token"]
    assert (await change_phone(someone, new_phone())).status == 200
    for place, schema in SEALED.items():
        if schema == "users":
            assert directly(module_database.rows, place, schema) == (True, 0), place


async def test_no_evidence_depends_on_a_field_key_itself(stage: Stage):
    await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
    for place, schema in SEALED.items():
        if schema == "ledger":
            assert directly(stage.rows, place, schema) == (True, 0), place


def directly(rows, place: str, schema: str) -> tuple[bool, int]:
    """Whether the column holds anything, and how much of it needs a field key itself."""
    table, column = place.split(".")
    statement = f"SELECT LEFT({column}, 1), COUNT(*) FROM {{{schema}}}.{table} WHERE {column} <> '' GROUP BY 1"
    found = {bytes(kind): int(count) for kind, count in rows(statement)}
    return bool(found), found.get(b"\x01", 0)


NEXT_INDEX = b"i" * 31 + b"2"


class TestIndexes:
    """The key of blind indexes changes: customers are found by both, then by the new one alone."""

    @pytest.fixture
    def sealer(self) -> KeySealer:
        keys = {1: OLD, 2: NEW}
        return KeySealer(keys=keys, current=1, blind_index_key=NEXT_INDEX, former_index_keys=[INDEX])

    @pytest.fixture
    async def former(self, world: World, stores) -> Customer:
        """Somebody who registered under the former key."""
        before = KeySealer(keys={1: OLD}, current=1, blind_index_key=INDEX)
        now = world.edge.accounts
        object.__setattr__(world.edge, "accounts", MySqlIdentities(stores, before))
        object.__setattr__(world.edge, "sealer", before)
        customer = await signed_in(world)
        object.__setattr__(world.edge, "accounts", now)
        object.__setattr__(world.edge, "sealer", now._sealer)
        return customer

    async def test_a_customer_of_the_former_key_is_found_and_stays_the_only_one(
        self, world: World, former: Customer, clock, module_database
    ):
        await login(world, former.email, former.device)
        clock.ahead = timedelta(seconds=5)
        again = registration(new_phone(), email=former.email)
        assert (await world.call("POST", "/auth/register", again)).status == 201
        taken = registration(former.phone, email="another@example.com")
        assert (await world.call("POST", "/auth/register", taken)).status == 201
        verify = {"phone": former.phone, "code": world.actors.last_code()}
        # The number is another customer's, whatever key it is indexed under.
        assert (await world.call("POST", "/auth/phone/verify", verify)).code == "phone_taken"
        other = await signed_in(world)
        clock.ahead = timedelta(seconds=10)
        assert (await change_phone(other, former.phone)).code == "phone_taken"
        assert await ask_code(world, former.email)
        assert len(module_database.rows("SELECT 1 FROM {users}.users WHERE id = %s", (former.id,))) == 1

    async def test_after_the_pass_the_new_key_alone_finds_everybody(
        self, world: World, stores, sealer, former: Customer
    ):
        fresh = await signed_in(world)
        indexes = MySqlIndexes(stores, sealer)
        first = await indexes.reindex(batches_max=50)
        assert (first.complete, first.left) == (True, 0)
        assert first.done >= 1
        assert await indexes.reindex(batches_max=50) == replace(first, done=0)
        assert (await MySqlIndexes(stores, sealer).reindex(batches_max=50)).done == 0
        without = KeySealer(keys={1: OLD}, current=1, blind_index_key=NEXT_INDEX)
        accounts = MySqlIdentities(stores, without)
        for customer in (former, fresh):
            found = await accounts.credentials(customer.email, device_id=customer.device)
            assert found is not None
            assert found.user_id == customer.id
        holder = stores.queries("users")(
            "holder_of_phone", phone_indexes=without.blind_indexes(f"phone|{former.phone}"), user_id=""
        )
        assert await stores.rows(holder) == ((former.id,),)

    async def test_an_index_that_somebody_else_has_is_left_and_told(self, world, stores, sealer, former: Customer):
        twin = await signed_in(world)
        index = sealer.blind_index(f"email|{former.email}").hex()
        await stores.write(f"UPDATE {stores.prefix}users.users SET email_index = x'{index}' WHERE id = '{twin.id}'")
        run = await MySqlIndexes(stores, sealer).reindex(batches_max=50)
        assert (run.complete, run.left) == (True, 1)
        # The pass has set the other one right, so the next finds the place free.
        assert (await MySqlIndexes(stores, sealer).reindex(batches_max=50)).left == 0

    async def test_without_a_former_key_there_is_nothing_to_do(self, stores, module_database):
        settled = KeySealer(keys={1: OLD}, current=1, blind_index_key=NEXT_INDEX)
        assert await MySqlIndexes(stores, settled).reindex(batches_max=1) == Reindexed(0, 0, complete=True)


async def test_forgetting_shreds_one_customer_and_leaves_the_books_whole(stage: Stage):
    """On a running node: a paid deposit, then the customer is forgotten; chains and invariants do not notice."""
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    exported = await stage.get(who, "/me/export")
    assert [one["id"] for one in exported.body["transactions"]] == [deposit]
    people = ("--by", "Achieng Otieno", "--second", "Brian Kamau", "--evidence", f"request {who.number}")
    assert "--yes" in stage.installation.run("erase", who.user_id, *people)
    assert (await stage.get(who, "/me")).status == 200
    assert "forgotten" in stage.installation.run("erase", who.user_id, *people, "--yes")
    assert (await stage.get(who, "/me")).status == 401
    assert (await stage.ask(who)).status == 401
    assert stage.rows("SELECT 1 FROM {users}.data_keys WHERE user_id = %s", who.user_id) == []
    assert stage.rows("SELECT state FROM {ledger}.transactions WHERE id = %s", deposit) == [("COMPLETED",)]
    told = stage.rows(
        "SELECT chain FROM penpay_audit.audit_log WHERE action = 'user.erased' AND subject = %s", who.user_id
    )
    assert len(told) == 1
    stage.installation.run("audit", "verify")
    stage.installation.run("check")
    assert "COMPLETED" in stage.installation.run("explain", deposit)


class Turned:
    """An installation whose node is started anew with other field keys, while customers go on asking."""

    def __init__(self, installation: PrivateInstallation, session: aiohttp.ClientSession) -> None:
        self.installation = installation
        self.session = session
        self.statuses: set[int] = set()

    async def ask_on(self, customers: Sequence[Seeded]) -> None:
        """Until it is cancelled. A node that is not there is no answer; every answer counts."""
        while True:
            for one in customers:
                headers = {"Authorization": f"Bearer {one.token}"}
                url = f"{self.installation.node.public_url}/api/v1/me"
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with self.session.get(url, headers=headers) as answer:
                        self.statuses.add(answer.status)
                await asyncio.sleep(0.02)

    async def restart(self, ring: str, indexes: str) -> None:
        self.installation.node.stop()
        self.installation.nodes.clear()
        self.installation.settings["PENPAY_SECURITY__FIELD_KEYS"] = ring
        self.installation.settings["PENPAY_SECURITY__BLIND_INDEX_KEY"] = indexes
        node = self.installation.add_node("node-1")
        node.spawn()
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(node.is_ready):
                await asyncio.sleep(0.1)


async def test_a_node_changes_its_key_under_load_and_lives_without_the_old_one() -> None:
    old, new, index, next_index = (new_key() for _ in range(4))
    settings = {
        **SETTINGS,
        "PENPAY_SECURITY__FIELD_KEYS": f"1:{old}",
        "PENPAY_SECURITY__BLIND_INDEX_KEY": index,
        "PENPAY_LIMITS__READ_PER_MINUTE": "100000",
    }
    with PrivateInstallation(settings=settings) as installation:
        installation.start()
        customers = await seed(installation.node.env or {}, 8)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            stage = Stage(installation, session, SandboxControl(installation.control_url, session), iter(customers))
            turned = Turned(installation, session)
            who, late = customers[0], customers[1]
            first = await stage.ask(who, key="before")
            await stage.reaches(first.body["id"], "COMPLETED")
            load = asyncio.create_task(turned.ask_on(customers))
            await turned.restart(f"2:{new},1:{old}", f"2:{next_index},1:{index}")
            await stage.control.script_phone(late.msisdn, WAITS)
            under_way = (await stage.ask(late)).body["id"]
            await stage.push_of(late)
            async with asyncio.timeout(60):
                while stage.rows(
                    "SELECT 1 FROM {users}.data_keys WHERE SUBSTRING(wrapped, 2, 4) <> x'00000002' LIMIT 1"
                ):
                    await asyncio.sleep(0.2)
            again = await stage.ask(who, key="before")
            assert (again.status, again.raw) == (first.status, first.raw)
            await turned.restart(f"2:{new}", f"2:{next_index},1:{index}")
            await stage.answers(late)
            await stage.reaches(under_way, "COMPLETED")
            again = await stage.ask(who, key="before")
            load.cancel()
        assert (again.status, again.raw) == (first.status, first.raw)
        assert turned.statuses <= {200, 503}
        assert 200 in turned.statuses
        assert "COMPLETED" in installation.run("explain", under_way)
        installation.run("check")
        installation.run("audit", "verify")
        log = installation.node.log_path.read_text()
    assert "cannot_be_opened" not in log
    assert "field_key_missing" not in log
