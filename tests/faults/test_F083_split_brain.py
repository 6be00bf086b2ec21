"""F83: split brain: the old primary can still be written to, and so can the one that took its place."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.keys import development_keys
from config.sections import SecuritySettings
from penpay.chaos.books import settled
from penpay.stack import NodeProcess, PrivateInstallation, PrivateMariaDB
from tests.faults.conftest import judged
from tests.faults.restoring import copied, staged, until_opened
from tests.faults.stage import SETTINGS, WAITS
from tests.harness.wire import Wire


async def test_one_of_two_servers_moves_money_and_a_node_writes_to_no_other_than_its_own(
    make_installation: type[PrivateInstallation],
) -> None:
    installation = make_installation(settings=SETTINGS)
    installation.settings |= keys_in(installation.folder / "keys")
    installation.start_servers()
    installation.run("migrate")
    first, second = (installation.add_node(name) for name in ("node-1", "node-2"))
    listen = installation.folder / "wire.sock"
    with Wire(listen, installation.mariadb.socket_path) as wire:
        reaches(first, installation.mariadb, listen)
        await first.start_async()
        async with staged(installation, customers=6) as stage:
            await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
            known, asking = stage.customer(), stage.customer()
            begun = await stage.deposit(known, phone=WAITS)
            await stage.reaches(begun, "AWAITING_PAYER")
            old = await copied(installation)
            await stage.answers(known)
            with promoted(installation.mariadb, old, installation.folder) as other:
                # The second node owns everything over there, and neither hears of the other again.
                reaches(second, installation.mariadb, other.socket_path)
                second.spawn()
                names = "SELECT DISTINCT node FROM {ledger}.leases WHERE state = 'OWNED'"
                await until(lambda: told_by(other, names) == [("node-2",)])
                await stage.reaches(begun, "COMPLETED")
                # It learns of the payment as well; what it makes of it is looked for, and never sent.
                ended = (
                    "SELECT a.outcome, a.code FROM {ledger}.rail_attempts a JOIN {ledger}.provider_operations o"
                    f" ON o.id = a.operation_id WHERE o.kind = 'DERIV_TRANSFER' AND o.transaction_id = '{begun}'"
                )
                await until(lambda: told_by(other, ended) == [("UNKNOWN", "recovered")])
                assert await asked_at(second, stage.body(asking), asking.token, stage.session) in {202, 503}
                # The first one is led to the other server, where another owns what it thinks is its own.
                wire.lead(other.socket_path)
                reply = await stage.ask(stage.customer())
                assert reply.status == 503, reply.body
                async with asyncio.timeout(30):
                    while (await stage.operator.ready())["dependencies"]["recovery"]["ok"]:
                        await asyncio.sleep(0.05)
                await stage.operator.until_ready(within_s=30, ready=False)
                assert told_by(other, names) == [("node-2",)]
                boots = "SELECT COUNT(DISTINCT owner) FROM {ledger}.fences WHERE epoch > 0"
                assert told_by(other, boots) == [(1,)]
                assert (await stage.told(known)).counts == (1, 1, 1)
                assert (await stage.told(asking)).counts == (0, 0, 0)
                second.kill()
                wire.lead(installation.mariadb.socket_path)
            # Back at its own, it has seen a server that was another one: it compares before it sends.
            await until_opened(installation)
            await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED", within_s=60)
            await settled(installation, within_s=60)
        # What the rails did is what the first server's books say, to the cent: the other one moved nothing.
        await asyncio.to_thread(judged, installation)
        await first.stop_async()


def keys_in(folder: Path) -> dict[str, str]:
    """The same keys for every node: those of development belong to one address of a database."""
    names = tuple(name for name in SecuritySettings.model_fields if name != "ops_token")
    return {f"PENPAY_SECURITY__{name.upper()}": key for name, key in development_keys(folder, names).items()}


@contextmanager
def promoted(primary: PrivateMariaDB, old: str, sockets: Path) -> Iterator[PrivateMariaDB]:
    """A second server on a copy of the first one's folder."""
    folder = primary.folder.parent / "promoted"
    folder.mkdir()
    shutil.move(old, folder / "data")
    shutil.copy(primary.folder / "logins.json", folder)
    server = PrivateMariaDB(folder, socket_folder=sockets, name="other", buffer_pool_mb=128, log_mb=64)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def reaches(node: NodeProcess, primary: PrivateMariaDB, socket: Path) -> None:
    """Have a node find its database there."""
    assert node.env is not None
    url = node.env["PENPAY_DATABASE__URL"].replace(primary.socket_path.name, socket.name)
    assert socket.name in url
    node.env["PENPAY_DATABASE__URL"] = url


def told_by(server: PrivateMariaDB, statement: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement.replace("{ledger}", "penpay_ledger"))
        return list(cursor.fetchall())


async def asked_at(node: NodeProcess, body: dict[str, Any], token: str, session: Any) -> int:
    """The status of a deposit that is asked for at this node."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "F083"}
    async with session.post(f"{node.public_url}/api/v1/deposits", json=body, headers=headers) as answer:
        return int(answer.status)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.1)
