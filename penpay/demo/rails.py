"""The demo's hand on the sandbox: scripts before a deposit, SMS codes, and the ground truth afterwards."""

from collections.abc import Mapping
from typing import Any

import aiohttp


class SandboxControl:
    """The control API of the simulated rails."""

    def __init__(self, control_url: str, session: aiohttp.ClientSession) -> None:
        self._base = control_url.rstrip("/")
        self._session = session

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send one control request; an answer other than 200 is an error with the sandbox's words."""
        async with self._session.post(self._base + path, json=body) as answer:
            content = await answer.json()
            if answer.status != 200:
                raise RuntimeError(f"sandbox refused {path}: {content}")
            return content

    async def get(self, path: str, **params: str) -> Any:
        """Read one thing."""
        async with self._session.get(self._base + path, params=params) as answer:
            return await answer.json()

    async def script_phone(self, msisdn: str, step: Mapping[str, Any]) -> None:
        """What becomes of the next prompt on this phone."""
        if step:
            await self.post(f"/phones/{msisdn}/script", {"steps": [dict(step)]})

    async def script_transfer(self, loginid: str, step: Mapping[str, Any]) -> None:
        """What becomes of the next transfer to this login."""
        if step:
            await self.post(
                "/deriv/script", {"steps": [{"op": "paymentagent_transfer", "match": {"transfer_to": loginid}, **step}]}
            )

    async def script_debit(self, amount: str, step: Mapping[str, Any]) -> None:
        """What becomes of the next debit of this amount on a customer's account."""
        if step:
            match = {"amount": float(amount)}
            await self.post("/deriv/script", {"steps": [{"op": "paymentagent_withdraw", "match": match, **step}]})

    async def script_payout(self, msisdn: str, step: Mapping[str, Any]) -> None:
        """What becomes of the next payout to this phone."""
        if step:
            await self.post("/daraja/script", {"steps": [{"op": "b2c", "match": {"PartyB": msisdn}, **step}]})

    async def newest_code(self, email: str) -> str:
        """The newest code that Deriv mailed to this address, or empty."""
        codes = (await self.get("/deriv/codes", email=email))["codes"]
        return str(codes[-1]["code"]) if codes else ""

    async def newest_sms(self, msisdn: str) -> str:
        """Text of the last message to this phone, or empty."""
        messages = (await self.get("/sms", to=f"+{msisdn}"))["messages"]
        return str(messages[-1]["text"]) if messages else ""

    async def summary(self) -> Any:
        """The rails' own totals, in minor units."""
        return await self.get("/truth/summary")
