"""A supervisor whose children are what a plan says: the shards that this node owns."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import Exit, Unavailable
from supervisors.backoff import Backoff
from supervisors.child import CheckStalls, Child, ChildExited, Phase
from supervisors.specs import DynamicSpec, SupervisorSpec
from supervisors.supervisor import Supervisor
from supervisors.surroundings import Surroundings

log = structlog.get_logger("penpay.supervision")


@dataclass(frozen=True, slots=True)
class Replan:
    """Timer: ask the plan again."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan's answer, or None when it is not available now."""

    specs: Sequence[SupervisorSpec] | None


class DynamicSupervisor(Supervisor):
    """One for one over a changing set. Children start side by side: one that waits for its lease delays no other."""

    KIND = "dynamic supervisor"

    def __init__(self, spec: DynamicSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._dynamic = spec
        self._asking = Backoff(spec.backoff, surroundings.randomness)

    async def on_start(self) -> None:
        """Ask the plan and start what it names. Ready when every child is, or has broken for the first time."""
        specs = await self._ask()
        while specs is None:
            await asyncio.sleep(self._asking.next_delay_s())
            specs = await self._ask()
        self._asking.reset()
        starting = [self._launch(self._add(spec)) for spec in specs]
        # A child that breaks here is restarted like any other: its exit waits in the control lane.
        await asyncio.gather(*(cell.ready() for cell in starting), return_exceptions=True)
        self.timers.every("stalls", self._surroundings.stall_check_s, CheckStalls())
        self.timers.once("replan", self._dynamic.replan_s, Replan())

    async def on_receive(self, message: Any) -> Any:
        """Plans, besides what every supervisor hears."""
        match message:
            case Replan():
                self.spawn(self._fetch(), name="plan")
            case Planned(specs=None):
                delay_s = max(self._dynamic.replan_s, self._asking.next_delay_s())
                self.timers.once("replan", delay_s, Replan())
            case Planned(specs=specs) if specs is not None:
                self._asking.reset()
                await self._follow(specs)
                self.timers.once("replan", self._dynamic.replan_s, Replan())
            case _:
                return await super().on_receive(message)
        return None

    async def _fetch(self) -> None:
        self._cell.control(Planned(await self._ask()))

    async def _ask(self) -> Sequence[SupervisorSpec] | None:
        try:
            return await self._dynamic.plan()
        except Unavailable as error:
            log.warning("plan is not available; keeping what there is", supervisor=self.address, error=repr(error))
            return None

    async def _follow(self, specs: Sequence[SupervisorSpec]) -> None:
        wanted = {spec.name: spec for spec in specs}
        gone = [child for name, child in self._children.items() if name not in wanted]
        await self._stop_children(gone)
        for child in gone:
            del self._children[child.name]
        for name, spec in wanted.items():
            if name not in self._children:
                self._launch(self._add(spec))
        self._answer_commands()

    def _add(self, spec: SupervisorSpec) -> Child:
        assert spec.name not in self._children, f"{spec.name} is planned twice"
        child = Child(spec, self._surroundings)
        self._children[spec.name] = child
        return child

    async def _on_exit(self, news: ChildExited) -> None:
        child = news.child
        if news.ending.abnormal or child.phase is not Phase.EXITED:
            await super()._on_exit(news)
        elif child.cell is not None and child.cell.incarnation == news.incarnation:
            log.info("child is gone until the plan names it again", actor=child.cell.address, reason=news.ending.reason)
            self._remove(child, news.ending)

    def _remove(self, child: Child, ending: Exit) -> None:
        self._finish(child, ending)
        del self._children[child.name]
        self._answer_commands()
