"""How the API says no, as an exception."""

from penpay.client.answers import JSON


class ApiProblem(Exception):
    """A problem document (RFC 9457), with what a caller decides by."""

    def __init__(self, status: int, body: JSON, request_id: str = "") -> None:
        super().__init__(f"{status} {body.get('code', '')}: {body.get('detail', '')}")
        self.status = status
        self.body = body
        self.code = str(body.get("code", ""))
        self.retryable = bool(body.get("retryable", status >= 500))
        self.retry_after_s = float(body.get("retry_after_s") or 0)
        self.next_action = str(body.get("next_action", ""))
        self.errors = {str(one["field"]): str(one["message"]) for one in body.get("errors", ())}
        self.request_id = request_id
