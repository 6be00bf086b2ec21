"""Four eyes: nothing that staff decide is done by one person, and no approval is used for two things.

Without staff who sign in, a name is what somebody wrote; so names are compared generously, references carry one
decision each, and every decision stands in the `sys` chain before it is done. Source: faults.md S16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from aiohttp import web
from pydantic import ValidationError

from penpay.domain.errors import BadInput
from penpay.domain.review import Approval, approval_of
from penpay.domain.unit import AuditRecord
from penpay.http.dispatch import read_bytes, require_json
from penpay.http.json_body import MalformedJson, parse_object
from penpay.http.replies import Stop, invalid_field, invalid_fields
from penpay.http.schemas_staff import TwoNames

BODY_BYTES_MAX = 2048
Body = TypeVar("Body", bound=TwoNames)


class StaffLog(Protocol):
    """The audit chain of what staff do."""

    async def append(self, records: Sequence[AuditRecord], *, at: datetime) -> None: ...


class Approvals(Protocol):
    """References that were used. Raises `Unavailable`."""

    async def claim(self, approval: Approval, *, action: str, subject: str, at: datetime) -> bool:
        """False: this reference carried another decision, other people's, or this one more than a day ago."""
        ...

    async def free(self, approval: Approval, *, at: datetime) -> None:
        """Take back the claim made at that very time, unless the same decision was told again since."""
        ...


@dataclass(frozen=True, slots=True)
class FourEyes:
    """Reads a decision, makes sure that it is a new one, and writes it down before anybody acts on it."""

    approvals: Approvals
    staff_log: StaffLog

    async def record(
        self, approval: Approval, *, action: str, subject: str, detail: Mapping[str, str], at: datetime
    ) -> None:
        """Raises `Stop` when the reference was used before."""
        if not await self.approvals.claim(approval, action=action, subject=subject, at=at):
            raise Stop("approval_reused")
        record = AuditRecord(
            actor=f"staff:{approval.by}",
            action=action,
            subject=subject,
            detail={"second": approval.second, "evidence": approval.evidence, **detail},
        )
        await self.staff_log.append((record,), at=at)

    async def refused(self, approval: Approval, *, action: str, subject: str, recorded_at: datetime) -> None:
        """A recorded decision was refused and has done nothing: say so behind it, and leave its reference free.

        Not for one whose outcome is unknown, nor if it was told again meanwhile: that one may have been done.
        """
        record = AuditRecord(
            actor=f"staff:{approval.by}",
            action=f"{action}.refused",
            subject=subject,
            detail={"second": approval.second, "evidence": approval.evidence},
        )
        await self.staff_log.append((record,), at=recorded_at)
        await self.approvals.free(approval, at=recorded_at)

    async def note(self, body: TwoNames, *, action: str, subject: str, at: datetime) -> None:
        """Write down a look that decides nothing, so that its reference stays free."""
        detail = {"second": body.second, "evidence": body.evidence}
        record = AuditRecord(actor=f"staff:{body.by}", action=action, subject=subject, detail=detail)
        await self.staff_log.append((record,), at=at)


async def decided(request: web.Request, model: type[Body], *, action: str) -> tuple[Body, Approval]:
    """The body of a decision, with its two names and its reference."""
    require_json(request)
    raw = await read_bytes(request, BODY_BYTES_MAX)
    try:
        body: Body = model.model_validate(parse_object(raw))
        return body, approval_of(by=body.by, second=body.second, evidence=body.evidence, action=action)
    except MalformedJson as error:
        raise Stop("malformed_json", f"The body {error}.") from None
    except ValidationError as error:
        raise invalid_fields(error) from None
    except BadInput as error:
        raise invalid_field(error) from None
