"""Address → living actor. Senders hold addresses, so a restarted actor keeps its name."""

from typing import Any, Protocol

from actors.base import (
    ActorGone,
    ActorSystem,
    Cell,
    DeadLetter,
    EntityHeld,
    EntityParked,
    NoSuchActor,
    ask,
    home_loop,
    tell,
)


class Host(Protocol):
    """Whoever starts entities on demand below an address."""

    def reach(self, entity_id: str) -> Cell:
        """The entity's cell, started now if it was not there. Raises `MailboxFull`, `EntityParked` or `EntityHeld`."""
        ...

    def free(self, entity_id: str) -> Cell:
        """The same, also of one that was parked. Raises `MailboxFull` or `EntityHeld`."""
        ...


class Registry:
    """The `Addresses` port. Only on the loop.

    Addresses are tree paths without the root, e.g. `rails/deriv/session`; below an entity host they activate entities.
    """

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._cells: dict[str, Cell] = {}
        self._hosts: dict[str, Host] = {}

    def tell(self, address: str, message: object) -> None:
        """Queue and forget. Nobody there, parked or held: a dead letter. Raises only `MailboxFull`."""
        try:
            tell(self._find(address), message)
        except EntityParked:
            self._dead(address, message, "parked")
        except EntityHeld:
            self._dead(address, message, "held")
        except ActorGone:
            self._dead(address, message, "no_such_actor")

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        """Ask whoever lives there now. A message that `FREES_PARKED` is what a parked entity waits for.

        Raises `NoSuchActor`, `EntityParked`, `EntityHeld`, `MailboxFull` and what `aask` raises.
        """
        cell = self._find(address, frees=getattr(message, "FREES_PARKED", False))
        return await ask(cell, message, timeout_s)

    def _find(self, address: str, *, frees: bool = False) -> Cell:
        cell = self._cells.get(address)
        if cell is not None:
            return cell
        host_address, _, entity_id = address.rpartition("/")
        host = self._hosts.get(host_address)
        if host is None or not entity_id:
            raise NoSuchActor(address)
        return host.free(entity_id) if frees else host.reach(entity_id)

    def _dead(self, address: str, message: object, reason: str) -> None:
        kind = address.partition("/")[0]
        self._system.dead_letters.record(DeadLetter(address, kind, reason, message), now_s=home_loop().time())

    # --- filled in by supervisors ---

    def bind(self, cell: Cell) -> None:
        """This cell answers at its address from now on."""
        self._cells[cell.address] = cell

    def unbind(self, cell: Cell) -> None:
        """It does not any more, unless another took the address over."""
        if self._cells.get(cell.address) is cell:
            del self._cells[cell.address]

    def open_host(self, address: str, host: Host) -> None:
        """Entities below `address` are started by `host`."""
        self._hosts[address] = host

    def close_host(self, address: str, host: Host) -> None:
        """They are not any more."""
        if self._hosts.get(address) is host:
            del self._hosts[address]

    def cell(self, address: str) -> Cell | None:
        """The cell bound at exactly this address."""
        return self._cells.get(address)
