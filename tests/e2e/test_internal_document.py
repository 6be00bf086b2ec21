"""The document of the internal listener against a running node: what it answers, and what it asks for."""

from typing import Any

import jsonschema
import pytest

from penpay.http.openapi_internal import CALLS, Told
from tests.faults.conftest import stage, theatre
from tests.faults.stage import Stage

__all__ = ["stage", "theatre"]
NOBODY = "01M8EEDAQKWX5TP4TGJCJP3D9Z"
LOOKS = [call for call in CALLS if call.method == "GET" and "{" not in call.path]
DECISIONS = [call for call in CALLS if call.body is not None]


async def asked(stage: Stage, call: Told, *, token: bool = True, **more: Any) -> tuple[int, str, Any]:
    headers = {"Authorization": f"Bearer {stage.installation.ops_token}"} if token else {}
    url = stage.installation.node.internal_url + call.path.replace("{id}", NOBODY)
    async with stage.session.request(call.method, url, headers=headers, **more) as answer:
        said = await answer.json() if "json" in answer.content_type else await answer.text()
        return answer.status, answer.content_type, said


@pytest.mark.parametrize("call", LOOKS, ids=lambda call: call.path)
async def test_what_is_looked_at_has_the_documented_shape(stage: Stage, call: Told):
    status, media_type, said = await asked(stage, call)
    assert (status, media_type) == (call.status, call.media_type)
    jsonschema.validate(said, call.answer)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
async def test_what_needs_a_token_says_so(stage: Stage, call: Told):
    status, _, said = await asked(stage, call, token=False)
    if call.needs_token:
        assert (status, said["code"]) == (401, "unauthorized")
    else:
        assert status == 200


@pytest.mark.parametrize("call", DECISIONS, ids=lambda call: call.path)
async def test_a_decision_asks_for_what_is_documented(stage: Stage, call: Told):
    assert call.body is not None
    status, _, said = await asked(stage, call, json={})
    needed = {field.alias or name for name, field in call.body.model_fields.items() if field.is_required()}
    assert (status, {error["field"] for error in said["errors"]}) == (400, needed)


@pytest.mark.parametrize("call", [call for call in CALLS if call.query is not None], ids=lambda call: call.path)
async def test_that_a_parameter_may_be_refused_is_documented(stage: Stage, call: Told):
    status, _, said = await asked(stage, call, params={"nope": "1"})
    assert (status, [error["field"] for error in said["errors"]]) == (400, ["nope"])
    assert said["code"] in call.problems


async def test_a_transaction_and_a_receipt_are_found(stage: Stage):
    deposit = await stage.deposit(stage.customer())
    await stage.reaches(deposit, "COMPLETED")
    headers = {"Authorization": f"Bearer {stage.installation.ops_token}"}
    base = f"{stage.installation.node.internal_url}/admin/v1"
    async with stage.session.get(f"{base}/transactions/{deposit}", headers=headers) as answer:
        assert answer.status == 200
    ((receipt,),) = stage.rows(
        "SELECT r.ref FROM {ledger}.provider_references r JOIN {ledger}.provider_operations o ON o.id = r.operation_id"
        " WHERE o.transaction_id = %s AND r.kind = 'mpesa_receipt'",
        deposit,
    )
    async with stage.session.get(f"{base}/references/{receipt}", headers=headers) as answer:
        (call,) = [one for one in CALLS if one.path.endswith("/references/{ref}")]
        assert answer.status == 200
        jsonschema.validate(await answer.json(), call.answer)
