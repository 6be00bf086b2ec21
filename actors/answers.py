"""Stored answers: a known key gets its first answer before any rule is applied again."""

from typing import Protocol

from actors.recording import record
from penpay.domain.admission import No
from penpay.domain.answers import ROUTE_WITHDRAWAL_CODES, answer_aad
from penpay.domain.json_text import json_bytes
from penpay.domain.problems import CONTENT_TYPE as PROBLEM_TYPE
from penpay.domain.problems import PROBLEMS, problem
from penpay.domain.unit import StoredAnswer, UnitOfWork
from penpay.messages import AcceptDeposit, AcceptWithdrawal, Committed, HttpAnswer, RequestWithdrawalCode
from penpay.ports import Addresses, Clock, Sealer, UserStore

Asked = AcceptDeposit | AcceptWithdrawal

STORED = frozenset({403, 409, 422})
"""Refusals of the business are answers and replayed; everything else may succeed under the same key later."""
NEVER_STORED = frozenset({"pin_wrong", "request_in_progress"})


class AnswerParts(Protocol):
    """What answering needs of a user's parts."""

    @property
    def shard(self) -> int: ...
    @property
    def addresses(self) -> Addresses: ...
    @property
    def store(self) -> UserStore: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def sealer(self) -> Sealer: ...


def location(transaction_id: str) -> str:
    """Where the transaction can be read."""
    return f"/api/v1/transactions/{transaction_id}"


def problem_answer(
    asked: Asked | RequestWithdrawalCode,
    code: str,
    detail: str = "",
    retry_after_s: int = 0,
    *,
    untouched: bool = False,
) -> HttpAnswer:
    """A refusal that is not stored. Its `instance` is the path that was called."""
    route = ROUTE_WITHDRAWAL_CODES if isinstance(asked, RequestWithdrawalCode) else asked.route
    body = json_bytes(problem(code, detail, route.partition(" ")[2], retry_after_s=retry_after_s))
    return HttpAnswer(
        status=PROBLEMS[code].status,
        body=body,
        content_type=PROBLEM_TYPE,
        retry_after_s=retry_after_s,
        untouched=untouched,
    )


async def replay(parts: AnswerParts, asked: Asked) -> HttpAnswer | None:
    """The first answer under this key; another body under it is refused. None when the key is new."""
    user_id = asked.customer.user_id
    stored = await parts.store.answer(user_id, asked.route, asked.key_hash)
    if stored is None:
        return None
    if stored.fingerprint not in {asked.fingerprint, *asked.former_fingerprints}:
        return problem_answer(asked, "idempotency_key_reused")
    body = parts.sealer.open(
        stored.sealed_body,
        aad=answer_aad(asked.route, asked.key_hash),
        user_id=user_id,
        data_key=asked.customer.data_key,
    )
    return HttpAnswer(
        status=stored.status, body=body, content_type=stored.content_type, location=stored.location, replayed=True
    )


async def refuse(parts: AnswerParts, asked: Asked, no: No) -> HttpAnswer:
    """A first answer under this key wins over any refusal; a refusal of the business becomes the first answer."""
    known = await replay(parts, asked)
    if known is not None:
        return known
    fresh = problem_answer(asked, no.code, no.detail, no.retry_after_s, untouched=True)
    if fresh.status not in STORED or no.code in NEVER_STORED:
        return fresh
    user_id = asked.customer.user_id
    answer = stored_answer(parts, asked, status=fresh.status, body=fresh.body, content_type=PROBLEM_TYPE)
    unit_id = f"idem:{user_id}:{asked.route}:{asked.key_hash}"
    unit = UnitOfWork(unit_id=unit_id, shard=parts.shard, at=parts.clock.now(), user_id=user_id, answer=answer)
    if isinstance(await record(parts.addresses, unit), Committed):
        return fresh
    return await replay(parts, asked) or fresh


def stored_answer(
    parts: AnswerParts, asked: Asked, *, status: int, body: bytes, content_type: str, transaction_id: str = ""
) -> StoredAnswer:
    """The answer as its row, sealed under the customer's key."""
    user_id = asked.customer.user_id
    sealed = parts.sealer.seal(
        body, aad=answer_aad(asked.route, asked.key_hash), user_id=user_id, data_key=asked.customer.data_key
    )
    return StoredAnswer(
        user_id=user_id,
        route=asked.route,
        key_hash=asked.key_hash,
        fingerprint=asked.fingerprint,
        status=status,
        location=location(transaction_id) if transaction_id else "",
        content_type=content_type,
        sealed_body=sealed,
        transaction_id=transaction_id,
    )
