"""The tree as operators see it. Reads only; on the loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from actors.base import Cell
from supervisors.child import Child, Phase, kind_of
from supervisors.entity_host import EntityHost
from supervisors.specs import ChildSpec
from supervisors.supervisor import Supervisor

ENTITIES_MAX = 100
"""Of a host's entities only so many are listed: parked and held ones first, then those that wait longest."""


@dataclass(slots=True)
class Census:
    """All living actors of one kind, for gauges."""

    alive: int = 0
    mailbox_depth: int = 0
    oldest_message_s: float = 0.0


def census(root: Cell | None) -> dict[str, Census]:
    """Kind → how many live and what waits for them. Walks every actor: for a scrape, not for a message."""
    counted: dict[str, Census] = {}
    for cell in living(root):
        entry = counted.setdefault(cell.actor_class.KIND, Census())
        entry.alive += 1
        entry.mailbox_depth += len(cell.mailbox)
        entry.oldest_message_s = max(entry.oldest_message_s, cell.mailbox.oldest_s(cell.loop.time()))
    return counted


def living(cell: Cell | None) -> Iterator[Cell]:
    """Everybody in the tree below a cell, parents first."""
    if cell is None or cell.actor is None:
        return
    yield cell
    if isinstance(cell.actor, Supervisor):
        for child in cell.actor.children.values():
            yield from living(child.cell)
    elif isinstance(cell.actor, EntityHost):
        yield from (entity for entity in cell.actor.entities.values() if entity.actor is not None)


def describe_root(name: str, root: Cell | None) -> dict[str, Any]:
    """The whole tree, nested."""
    node = _cell_node(name, "supervisor", root)
    node["children"] = _children(root)
    return node


def _children(cell: Cell | None) -> list[dict[str, Any]]:
    actor = cell.actor if cell is not None else None
    if isinstance(actor, Supervisor):
        return [_child_node(actor.address, child) for child in actor.children.values()]
    if isinstance(actor, EntityHost):
        return _entities(actor)
    return []


def _child_node(parent: str, child: Child) -> dict[str, Any]:
    cell = child.cell
    path = f"{parent}/{child.name}" if parent else child.name
    kind = kind_of(child.spec)
    if isinstance(child.spec, ChildSpec) and cell is not None:
        kind = cell.actor_class.KIND
    node = _cell_node(path, kind, cell)
    node["state"] = child.phase.value if cell is None or child.phase is not Phase.RUNNING else cell.state.value
    node["restarts"] = child.restarts
    node["last_failure"] = child.last_failure
    node["children"] = _children(cell)
    actor = cell.actor if cell is not None else None
    if isinstance(actor, EntityHost):
        node.update(actor.observable_state())
    elif isinstance(child.spec, ChildSpec):
        node["observed"] = dict(actor.observable_state()) if actor is not None else {}
    return node


def _entities(host: EntityHost) -> list[dict[str, Any]]:
    nodes = []
    for entity_id, error in list(host.parked.items())[:ENTITIES_MAX]:
        node = _cell_node(f"{host.address}/{entity_id}", "entity", None)
        node.update(state="parked", last_failure=repr(error))
        nodes.append(node)
    held = [_cell_node(f"{host.address}/{entity_id}", "entity", None) for entity_id in sorted(host.held)]
    nodes += [{**node, "state": Phase.HELD.value} for node in held[: ENTITIES_MAX - len(nodes)]]
    now_s = next((cell.loop.time() for cell in host.entities.values()), 0.0)
    waiting = sorted(host.entities.values(), key=lambda cell: cell.mailbox.oldest_s(now_s), reverse=True)
    for cell in waiting[: ENTITIES_MAX - len(nodes)]:
        node = _cell_node(cell.address, cell.actor_class.KIND, cell)
        trouble = host.trouble(cell.name)
        if trouble is not None:
            node.update(restarts=trouble.restarts, last_failure=trouble.last_failure)
        nodes.append(node)
    return nodes


def _cell_node(path: str, kind: str, cell: Cell | None) -> dict[str, Any]:
    last = cell.last_exit if cell is not None else None
    return {
        "path": path,
        "kind": kind,
        "state": cell.state.value if cell is not None else Phase.STOPPED.value,
        "restarts": max(0, cell.incarnation - 1) if cell is not None else 0,
        "mailbox_depth": len(cell.mailbox) if cell is not None else 0,
        "oldest_message_s": round(cell.mailbox.oldest_s(cell.loop.time()), 3) if cell is not None else 0.0,
        "last_failure": str(last) if last is not None and not last.clean else None,
        "children": [],
    }
