"""A node's life: checks, the tree from top to bottom, signals, drain, and the way down."""

import asyncio
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from actors.base import Blueprint, StartFailed
from actors.opening import ACCOUNTS, OpeningActor
from config import limits
from config.environment import variable
from config.sections import Settings
from penpay.adapters.mail import SmtpMail
from penpay.adapters.metrics import Metrics
from penpay.app.crew import ShardPlan, daraja_rail, deriv_rail, fx_feed
from penpay.app.jobs import Jobs
from penpay.app.listeners import InternalDoor, NodeReadiness, PublicDoor, bells_of, edge_of, internal_parts
from penpay.app.outside import Connected, NodeHouse, outside_of
from penpay.domain.errors import StoreError, Unavailable
from penpay.http.edge import Admission
from penpay.http.event_hub import EventHub
from supervisors.root import SupervisionTree
from supervisors.tree import Crew, penpay_tree

log = structlog.get_logger()

CLAIM_TRIES = 50
CLAIM_PAUSE_S = 0.2
"""How long a start waits for its own name: the database notices late that a killed process is gone."""


class StartRefused(Exception):
    """This node cannot start; the text is one line for a person."""


async def started_or_leaving(tree: SupervisionTree, leaving: asyncio.Event) -> None:
    """Start everything, or give up as soon as it is time to leave: a ledger waits for its database without end.

    Raises `StartFailed`.
    """
    starting, left = asyncio.create_task(tree.start()), asyncio.create_task(leaving.wait())
    try:
        await asyncio.wait({starting, left}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
    finally:
        for task in (starting, left):
            task.cancel()
        await asyncio.gather(starting, left, return_exceptions=True)


class Node:
    """One `penpay serve`."""

    def __init__(self, settings: Settings, outside: Connected | None = None) -> None:
        self._settings = settings
        self._leaving = asyncio.Event()
        self._outside = outside or outside_of(settings)
        self._house = NodeHouse(self._outside, Metrics())
        self._admission = Admission(
            open=False, bodies_per_address=limits.BODIES_PER_ADDRESS_MAX * settings.limits.address_factor
        )
        self._events = EventHub()
        self._jobs = Jobs(self._house, self._events)
        self._plan = ShardPlan(self._house)
        self._tree = SupervisionTree(
            penpay_tree(self._crew()), randomness=self._outside.dice, observer=self._house.metrics
        )
        self._house.addresses.registry = self._tree.registry
        self._house.board.unopened = {rail for rail, _, _ in ACCOUNTS}

    async def run(self) -> int:
        """Live until a signal, a drain or the root's failure. Answers the exit status."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._leaving.set)
        loop.add_signal_handler(signal.SIGUSR1, self._dump)
        try:
            await self._check()
            return await self._live()
        except StartFailed as error:
            raise StartRefused(f"cannot start: {error}") from error
        finally:
            await self._outside.close()

    async def _live(self) -> int:
        """From the first lease to the last one. Raises `StartFailed`."""
        try:
            await started_or_leaving(self._tree, self._leaving)
            return await self._until_the_end()
        finally:
            await self._tree.stop()
            try:
                # Also what was taken for shards that did not come to run any more: their next owner need not wait.
                await self._outside.stores.leases.leave()
            except StoreError as error:
                log.warning("leases_not_released", error=type(error).__name__)

    async def _until_the_end(self) -> int:
        failed = self._tree.failed
        failed.add_done_callback(lambda _: self._leaving.set())
        await self._leaving.wait()
        if failed.done():
            log.critical("root_failed", ending=str(failed.result()))
            return limits.EXIT_ROOT_FAILED
        log.info("draining")
        return 0

    async def _check(self) -> None:
        """Refuse what would lose money later: a server that may lose commits, an old schema, a name in use."""
        self._check_addresses()
        try:
            await self._jobs.check_database()
            await self._jobs.open_keys()
            for _ in range(CLAIM_TRIES):
                if await self._outside.stores.leases.claim_node():
                    return
                await asyncio.sleep(CLAIM_PAUSE_S)
        except Unavailable as error:
            wanted = f"{error.dependency} does not answer: see {variable(error.dependency, 'url')}"
            raise StartRefused(wanted) from error
        except StoreError as error:
            raise StartRefused(f"the database cannot be used: {error}") from error
        except ValueError as error:
            raise StartRefused(f"the field keys are not this database's: {error}") from error
        raise StartRefused(f"another process runs as node {self._settings.node.name}")

    def _check_addresses(self) -> None:
        """An address in use, or of another machine, is said before anything else is begun."""
        http = self._settings.http
        for field, bind in (("public_bind", http.public_bind), ("internal_bind", http.internal_bind)):
            try:
                family, kind, _, _, place = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)[0]
                with socket.socket(family, kind) as taken:
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    taken.bind(place)
            except OSError as error:
                address = f"{bind.host}:{bind.port}"
                raise StartRefused(
                    f"cannot listen on {address}: {error.strerror}: see {variable('http', field)}"
                ) from error

    def _dump(self) -> None:
        """SIGUSR1: what everybody is doing, to the log's stream."""
        for task in asyncio.all_tasks():
            task.print_stack(limit=8, file=sys.stderr)

    def _crew(self) -> Crew:
        house, outside = self._house, self._outside
        timing = self._settings.timing
        bells = bells_of(house, self._events)
        edge = edge_of(house, self._admission, self._events, bells)
        deriv, daraja = deriv_rail(house, self._jobs.balance_seen), daraja_rail(house)
        readiness = NodeReadiness(
            house.board, self._admission, lambda: self._plan.owned, self._settings.node.shards, house.gate.closed
        )
        parts = internal_parts(
            house,
            readiness=readiness,
            operations=_Operations(self),
            drain=self._leaving.set,
            before_scrape=self._before_scrape,
            last_check=lambda: self._jobs.invariants.last_check,
            bells=bells,
        )
        return Crew(
            internal=InternalDoor(parts, self._settings),
            public=PublicDoor(house, edge),
            admission=self._admission,
            loop_lag=house.metrics.loop_lag,
            anchors=self._jobs.anchors(),
            database=self._jobs.probe_database,
            redis=self._jobs.probe_redis,
            probe_s=1.0,
            rail_renew_s=timing.lease_renew_s,
            deriv_lease=deriv.lease,
            session=deriv.session,
            transfers=deriv.sender,
            witness=deriv.witness,
            transfer_settings=deriv.transfers,
            withdrawals=deriv.withdrawals,
            resolver=deriv.resolver,
            credits=deriv.credits,
            customers=deriv.customers,
            daraja_lease=daraja.lease,
            gate=daraja.gate,
            pollers=daraja.pollers,
            feed=fx_feed(house),
            sms=outside.sms,
            mail=_mail(self._settings),
            shards=self._plan,
            replan_s=2.0,
            opening=self._opening,
            jobs=self._jobs.periodic(deriv.credits),
            proofs=self._jobs.invariants.periodic(),
        )

    def _opening(self) -> Blueprint:
        house = self._house
        parts = {"addresses": house.addresses, "board": house.board, "clock": self._outside.clock}
        books = {"is_booked": self._jobs.is_booked, "in_the_books": self._jobs.in_the_books}
        return OpeningActor, {**parts, **books, "patience_s": self._settings.timing.opening_wait_s}

    def _before_scrape(self) -> None:
        """Bring gauges up to date."""
        self._jobs.measure(self._tree.census())
        self._house.metrics.edge_load(requests=self._admission.requests, streams=self._events.streams)


def _mail(settings: Settings) -> SmtpMail | None:
    smtp = settings.smtp
    if not smtp.host:
        return None
    return SmtpMail(
        host=smtp.host,
        port=smtp.port,
        sender=smtp.sender,
        username=smtp.username,
        password=smtp.password.get_secret_value(),
        insecure=settings.is_relaxed,
    )


class _Operations:
    """`penpay.http.internal.Operations` of a tree that is made after it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> Mapping[str, Any]:
        """See `SupervisionTree`."""
        return self._node._tree.describe()  # noqa: SLF001 - the node's own second face

    async def restart(self, path: str) -> None:
        """See `SupervisionTree`."""
        await self._node._tree.restart(path)  # noqa: SLF001

    async def stop_child(self, path: str) -> None:
        """See `SupervisionTree`."""
        await self._node._tree.stop_child(path)  # noqa: SLF001

    async def start_child(self, path: str) -> None:
        """See `SupervisionTree`."""
        await self._node._tree.start_child(path)  # noqa: SLF001
