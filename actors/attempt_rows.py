"""A rail's rows around one call: the attempt before its first byte, and its end, which is kept until it is stored."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from actors.rail_call import CallResult
from actors.rail_parts import SenderParts
from actors.saga_bell import tell_saga
from penpay.domain.errors import Conflict, StoreError
from penpay.domain.rail_end import Outcome
from penpay.messages import EvidenceArrived
from penpay.messages_rails import Submit
from penpay.ports import Attempt, AttemptEnd, Lease

log = structlog.get_logger("penpay.rails")

NOT_BEGUN = "not_begun"
"""Not sent: the answer to the attempt's row was lost, so nothing followed it."""
_BACKOFF_FIRST_S = 0.1
_BEGIN = "begin"
"""Name in the watermark that tells one begin from every other one: epoch and count."""


class AttemptRows:
    """The rows of one sender. `epoch` answers the newest one that it has had, for an end that outlives the lease."""

    def __init__(self, parts: SenderParts, rail: str, epoch: Callable[[], int]) -> None:
        self._parts = parts
        self._rail = rail
        self._epoch = epoch
        self._begun = 0

    async def begin(self, submit: Submit, lease: Lease, watermark: Mapping[str, str]) -> Attempt | None:
        """The next attempt's row, or None: then nothing may be sent."""
        self._begun += 1
        name = f"{lease.epoch}-{self._begun}"
        mark = {**watermark, _BEGIN: name}
        try:
            return await self._parts.attempts.begin(self._rail, lease.epoch, submit.operation_id, watermark=mark)
        except Conflict:
            log.warning("rail no longer owns its lease", rail=self._rail)
        except StoreError as error:
            log.warning("attempt not recorded", rail=self._rail, error=type(error).__name__)
            await self._close_doubtful(submit, name)
        return None

    async def _close_doubtful(self, submit: Submit, name: str) -> None:
        """The attempt's row may exist although its commit was never acknowledged. Nothing was sent for it.

        Only a row of this very begin is closed: an older one may stand for something that was sent.
        """
        delay_s = _BACKOFF_FIRST_S
        while True:
            await asyncio.sleep(delay_s)
            delay_s = min(self._parts.settings.backoff_max_s, delay_s * 2)
            try:
                newest = (await self._parts.attempts.newest([submit.operation_id])).get(submit.operation_id)
            except StoreError:
                continue
            if newest is not None and newest.watermark.get(_BEGIN) == name:
                result = CallResult(outcome=Outcome.NOT_SENT, code=NOT_BEGUN, hold=True)
                await self.store(submit, newest.number, result)
            return

    async def store(self, submit: Submit, number: int, result: CallResult) -> None:
        """Keep the end in memory until the database has it, then tell the saga. Storing it twice changes nothing."""
        end = AttemptEnd(
            operation_id=submit.operation_id,
            attempt=number,
            kind=submit.kind.value,
            outcome=result.outcome.value,
            code=result.code,
            provider_ref=result.provider_ref,
            facts=result.facts,
            hold=result.hold,
            at=self._parts.clock.now(),
            body=result.body,
        )
        delay_s = _BACKOFF_FIRST_S
        while True:
            lease = self._parts.lease.current()
            epoch = lease.epoch if lease is not None else self._epoch()
            try:
                row = await self._parts.attempts.end(
                    self._rail, epoch, end, shard=submit.shard, transaction_id=submit.transaction_id
                )
            except Conflict:
                if self._parts.lease.current() is None:
                    # Another node runs this rail now; it has called the attempt unknown and will find the evidence.
                    log.warning("end of a call lost to another owner", rail=self._rail, outcome=end.outcome)
                    return
            except StoreError as error:
                log.warning("end of a call waits for the database", rail=self._rail, error=type(error).__name__)
            else:
                log.info("attempt ended", rail=self._rail, kind=end.kind, outcome=end.outcome, code=end.code)
                tell_saga(self._parts.addresses, submit.shard, submit.transaction_id, EvidenceArrived(row))
                return
            await asyncio.sleep(delay_s)
            delay_s = min(self._parts.settings.backoff_max_s, delay_s * 2)
