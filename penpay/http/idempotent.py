"""Answers given once: the first is stored with its key and repeated byte for byte. Source: contract.md part 3."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from penpay.domain.answers import answer_aad
from penpay.domain.problems import CONTENT_TYPE as PROBLEM_TYPE
from penpay.http.dispatch import Call
from penpay.http.replies import Stop
from penpay.messages import HttpAnswer

UNAVAILABLE = 503
Work = Callable[[Call], Awaitable[web.Response]]


async def once(call: Call, route: str, work: Work) -> web.Response:
    """Do the work, unless a request with this key is at it: then its answer if that is stored already, else 409.

    Kept on this node, which is enough: a shard's users are asked on the node that owns it. Who closes the connection
    ends nothing: the request counts until its actor has answered or was given up.
    """
    key = (call.who.user_id, route, call.key_hash)
    running = call.edge.running
    if key in running:
        if known := await replay(call, route):
            return known
        raise Stop("request_in_progress", retry_after_s=1)
    running.add(key)
    try:
        return await work(call)
    finally:
        running.remove(key)


async def replay(call: Call, route: str) -> web.Response | None:
    """The stored first answer to this key, if there is one. Another body under the same key is refused."""
    who = call.who
    stored = await call.edge.reads.answer(who.user_id, route, call.key_hash)
    if stored is None:
        return None
    if stored.fingerprint not in call.fingerprints():
        raise Stop("idempotency_key_reused")
    aad = answer_aad(route, call.key_hash)
    body = call.edge.sealer.open(stored.sealed_body, aad=aad, user_id=who.user_id, data_key=who.data_key)
    return as_response(
        HttpAnswer(
            status=stored.status,
            body=body,
            content_type=stored.content_type,
            location=stored.location,
            replayed=True,
        )
    )


async def stored_answer(call: Call, route: str) -> web.Response:
    """The reply got lost: what was committed decides. Nothing committed: 503, and the same key is safe."""
    found = await replay(call, route)
    if found is None:
        raise Stop("outcome_unknown", retry_after_s=2)
    return found


async def told(call: Call, answer: HttpAnswer) -> web.Response:
    """What the actor answered. A refusal for now, before anything was begun, costs nothing."""
    if answer.status == UNAVAILABLE and answer.untouched:
        await call.give_back()
    return as_response(answer)


def as_response(answer: HttpAnswer) -> web.Response:
    """The bytes as they were stored."""
    headers = {"Content-Type": answer.content_type}
    if answer.location:
        headers["Location"] = answer.location
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    retry_after_s = answer.retry_after_s or _stored_retry_after_s(answer) or (1 if answer.status in {429, 503} else 0)
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(body=answer.body, status=answer.status, headers=headers)


def _stored_retry_after_s(answer: HttpAnswer) -> int:
    """Header fields are not stored: a replayed refusal says in its body when to come again. 0: it does not."""
    if not answer.replayed or answer.content_type != PROBLEM_TYPE:
        return 0
    return int(json.loads(answer.body).get("retry_after_s", 0))
