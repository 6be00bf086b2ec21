"""The customer's own list of signed-in devices, and how to be rid of one. Source: faults.md S55."""

import re

from aiohttp import web

from penpay.domain.accounts import SignedIn
from penpay.domain.presentation import time_text
from penpay.http.dispatch import Call
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_identity import DEVICE_ID_PATTERN

_DEVICE_ID = re.compile(DEVICE_ID_PATTERN, re.ASCII)


def rendered_device(device: SignedIn, current_session: str) -> dict[str, object]:
    """A device as its owner sees it."""
    return {
        "id": device.device_id,
        "name": device.device_name,
        "platform": device.platform,
        "signed_in_at": time_text(device.signed_in_at),
        "last_used_at": time_text(device.used_at),
        "current": device.session_id == current_session,
    }


async def listed(call: Call) -> web.Response:
    """Devices that are signed in, the last used first."""
    devices = await call.edge.sessions.devices(call.who.user_id, at=call.edge.clock.now())
    session_id = call.claims.session_id if call.claims else ""
    return json_response({"items": [rendered_device(device, session_id) for device in devices]})


async def removed(call: Call) -> web.Response:
    """Sign a device out; its access token is refused from the next request on. It may be the device that asks."""
    device_id = call.request.match_info["id"]
    known = _DEVICE_ID.fullmatch(device_id) is not None
    if not known or not await call.edge.sessions.remove_device(call.who.user_id, device_id, at=call.edge.clock.now()):
        raise Stop("not_found")
    return web.Response(status=204)
