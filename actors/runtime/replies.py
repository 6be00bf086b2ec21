"""Answering later. A handler that returns DEFER keeps the asker waiting while the actor goes on with its mailbox."""

from typing import TYPE_CHECKING, Any, Final

from actors.runtime.envelope import Reply

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


class _Defer:
    __slots__ = ()

    def __repr__(self) -> str:
        return "DEFER"


DEFER: Final = _Defer()
"""Returned by a handler that took `self.defer()` and will complete it."""


class DeferredReply:
    """The open answer to one message. Only on the loop.

    Whatever is still open when the incarnation ends is answered then (`on_open_replies`), so no asker hangs. Of a tell
    there is nobody to answer: both methods do nothing. `message` is the question, for whoever answers in the end.
    """

    __slots__ = ("_cell", "_reply", "message")

    def __init__(self, cell: "Cell", reply: Reply | None, message: Any) -> None:
        self._cell = cell
        self._reply = reply
        self.message = message

    @property
    def open(self) -> bool:
        """Somebody still waits for it."""
        return self._reply is not None and not self._reply.done()

    def set(self, value: Any = None) -> None:
        """Answer. Idempotent: the first end counts."""
        if self._reply is not None:
            self._reply.answer(value)
        self._forget()

    def fail(self, error: BaseException) -> None:
        """Answer with an exception. Idempotent: the first end counts."""
        if self._reply is not None:
            self._reply.refuse(error)
        self._forget()

    def _forget(self) -> None:
        if self._cell.open_replies is not None:
            self._cell.open_replies.pop(self, None)
