"""Asynchronous results: the acknowledgement, the body that comes later, and every way in which it may go astray."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from penpay.sandbox.postman import Postman
from penpay.sandbox.steps import ResultStep

DESCRIPTIONS: Mapping[str, str] = {
    "0": "The service request is processed successfully.",
    "1": "The balance is insufficient for the transaction.",
    "2": "Declined due to limit rule: less than the minimum transaction amount.",
    "3": "Declined due to limit rule: greater than the maximum transaction amount.",
    "4": "Declined due to limit rule: would exceed the daily transfer limit.",
    "8": "Declined due to limit rule: would exceed the maximum balance.",
    "11": "The DebitParty is in an invalid state.",
    "17": "Internal failure.",
    "18": "The initiator credential check failed.",
    "20": "Unresolved initiator.",
    "21": "The initiator is not allowed to initiate this request.",
    "22": "The initiator is not active.",
    "25": "The format of parameter null is invalid.",
    "26": "System busy. The service request is rejected.",
    "1001": "Unable to lock subscriber, a transaction is already in process for the current subscriber.",
    "1019": "Transaction has expired.",
    "1025": "An error occurred while sending a push request.",
    "1032": "Request cancelled by user.",
    "1037": "DS timeout user cannot be reached.",
    "2001": "The initiator information is invalid.",
    "2006": "Declined due to account rule: the account status does not allow this transaction.",
    "2028": "The request is not permitted according to product assignment.",
    "2040": "Credit Party customer type (Unregistered or Registered) can not be supported by the service.",
    "4999": "The transaction is still under processing.",
    "8006": "The security credential is locked.",
    "9999": "An error occurred while sending a push request.",
    "R000001": "The transaction has already been reversed.",
    "R000002": "The OriginalTransactionID is invalid.",
    "SFC_IC0003": "The operator does not exist.",
}


def describe(code: str) -> str:
    """The text beside a result code. Codes are open-ended, so an unknown one has a text as well."""
    return DESCRIPTIONS.get(code, f"Request failed with code {code}.")


def code_value(code: str, code_type: str) -> int | str:
    """Result codes are integers where they can be; a `string` step sends their digits as text."""
    return int(code) if code.isdigit() and code_type != "string" else code


def acknowledgement(conversation_id: str, originator_id: str) -> dict[str, Any]:
    """Accepted is not done: the result comes to ResultURL."""
    return {
        "ConversationID": conversation_id,
        "OriginatorConversationID": originator_id,
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }


def result_body(
    *,
    code: str,
    originator_id: str,
    conversation_id: str,
    transaction_id: str,
    parameters: Iterable[tuple[str, Any]] | None,
    timeout_url: str,
    step: ResultStep,
) -> bytes:
    """A Result. Without parameters the member is absent, as it is on failure; a None value leaves out `Value`."""
    result: dict[str, Any] = {
        "ResultType": str(step.result_type) if step.code_type == "string" else step.result_type,
        "ResultCode": code_value(code, step.code_type),
        "ResultDesc": describe(code),
        "OriginatorConversationID": originator_id,
        "ConversationID": conversation_id,
        "TransactionID": transaction_id,
    }
    if parameters is not None:
        items = [{"Key": key} if value is None else {"Key": key, "Value": value} for key, value in parameters]
        result["ResultParameters"] = {"ResultParameter": items}
    item = {"Key": "QueueTimeoutURL", "Value": timeout_url}
    result["ReferenceData"] = {"ReferenceItem": [item] if step.reference == "array" else item}
    return orjson.dumps({"Result": result})


def timeout_body(originator_id: str, conversation_id: str) -> bytes:
    """What the proxy posts to QueueTimeOutURL; its shape is undocumented, so nothing may depend on it."""
    return orjson.dumps(
        {
            "Result": {
                "ResultType": 1,
                "ResultCode": "1",
                "ResultDesc": "The service request timed out.",
                "OriginatorConversationID": originator_id,
                "ConversationID": conversation_id,
                "TransactionID": "0000000000",
            }
        }
    )


def send_result(
    postman: Postman,
    kind: str,
    *,
    step: ResultStep,
    result_url: str,
    timeout_url: str,
    body: bytes,
    timeout: bytes,
) -> None:
    """Deliver a result as its step says: sent, lost, timed out in the queue, or timed out and sent after all."""
    if step.callback.startswith("queue_timeout"):
        postman.send(f"{kind}_timeout", timeout_url, timeout)
    if step.callback in ("send", "queue_timeout_then_send"):
        postman.send(kind, result_url, body, delay_s=step.callback_delay_s, copies=step.copies)
