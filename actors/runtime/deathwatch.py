"""Who is told when an incarnation ends. A watch lasts as long as the watcher's own incarnation."""

from typing import TYPE_CHECKING

from actors.runtime.envelope import Stamped
from actors.runtime.exits import KILLED, Exit, Terminated
from actors.runtime.states import ENDED

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


def watch(watched: "Cell", watcher: "Cell") -> None:
    """Tell `watcher` when an incarnation of `watched` ends; at once when it is dead for good."""
    if watched.state is ENDED:
        _tell(watcher, watched, watched.last_exit or Exit(KILLED))
        return
    if watched.watchers is None:
        watched.watchers = {}
    watched.watchers[watcher] = watcher.incarnation


def announce(cell: "Cell", ending: Exit) -> None:
    """An incarnation of `cell` ended. Watchers that have ended or restarted meanwhile are forgotten."""
    watchers = cell.watchers
    for watcher, incarnation in list((watchers or {}).items()):
        if watcher.state is ENDED or watcher.incarnation != incarnation:
            assert watchers is not None
            del watchers[watcher]
        else:
            _tell(watcher, cell, ending)


def _tell(watcher: "Cell", watched: "Cell", ending: Exit) -> None:
    notice = Terminated(watched.ref, ending.reason, watched.incarnation)
    watcher.mailbox.offer_control(Stamped(notice, watcher.loop.time(), watcher.incarnation))
    watcher.wake()
