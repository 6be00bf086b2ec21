"""What the simulated Deriv says: frames, and the refusals among them."""

import json
from typing import Any

Members = dict[str, Any]


class Fault(Exception):
    """An error reply: nothing was executed."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def frame(name: str, request: Members, members: Members) -> str:
    """The answer to a request, or a message of a stream that it began."""
    return json.dumps({"msg_type": name, "req_id": request.get("req_id"), **members})


def refusal(name: str, request: Members, fault: Fault) -> str:
    """The answer to a request that was not done."""
    return frame(name, request, {"error": {"code": fault.code, "message": fault.message}})
