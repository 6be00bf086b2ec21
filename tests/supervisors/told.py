"""Actors that do what the test tells them."""

import asyncio

from actors.base import AsyncioActor, EntityActor, Unavailable


class Told:
    """Writes its life into `journal`; `faults` maps its name to exceptions for its next starts."""

    def __init__(self, name, journal, faults):
        super().__init__()
        self.name = name
        self.journal = journal
        self.faults = faults
        self.memory = []

    async def on_start(self):
        self.journal.append(f"+{self.name}")
        if self.faults.get(self.name):
            fault = self.faults[self.name].pop(0)
            if fault is not None:
                raise fault

    async def on_stop(self):
        self.journal.append(f"-{self.name}")

    async def on_failure(self, *_):
        self.journal.append(f"!{self.name}")

    async def on_receive(self, message):
        match message:
            case "boom":
                raise ValueError(self.name)
            case "sleep":
                await asyncio.Event().wait()
            case "incarnation":
                return self.incarnation
            case "memory":
                return list(self.memory)
            case ("exit", reason):
                self.exit(reason)
            case ("away", name):
                raise Unavailable(name)
        self.memory.append(message)
        return message

    def observable_state(self):
        return {"remembers": len(self.memory)}


class Worker(Told, AsyncioActor):
    KIND = "worker"


class Thing(Told, EntityActor):
    KIND = "thing"
    IDLE_S = 0.0


class Quiet(EntityActor):
    """Without hooks of its own: leaves memory in one step."""

    KIND = "quiet"

    def __init__(self, *_):
        super().__init__()

    async def on_receive(self, message):
        if message == "sleep":
            await asyncio.Event().wait()
        return message
