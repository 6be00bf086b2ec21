"""The legacy OAuth page: it sends the browser back with one account, token and currency per account of the login."""

from urllib.parse import urlencode

from aiohttp import web

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.deriv.money import ALL_SCOPES, Money
from penpay.sandbox.facts import Token
from penpay.sandbox.ids import Ids
from penpay.sandbox.truth import Truth


class OAuthPage:
    """`GET /oauth2/authorize?app_id=…&state=…`. Nobody types a password: control or `login` chooses who it is."""

    def __init__(self, config: SandboxConfig, truth: Truth, ids: Ids, money: Money) -> None:
        self._config = config
        self._truth = truth
        self._ids = ids
        self._money = money
        self.redirect_url = config.oauth_redirect_url
        self.login = ""
        self.scopes: tuple[str, ...] = ALL_SCOPES

    async def serve(self, request: web.Request) -> web.Response:
        if request.query.get("app_id") != self._config.deriv_app_id or not self.redirect_url:
            return web.Response(status=400, text="The application is unknown or has no registered redirect URL.")
        loginid = request.query.get("login") or self.login
        account = self._money.account(loginid) if loginid else None
        if account is None:
            return web.Response(status=400, text="Choose an account: ?login= or POST /control/deriv/oauth.")
        mine = [one.customer for one in self._truth.world.accounts_of(account.customer.email)]
        mine.sort(key=lambda customer: customer.loginid != loginid)
        query: dict[str, str] = {}
        for number, customer in enumerate(mine, start=1):
            token = f"a1-{self._ids.hex(29)}"
            self._truth.record(Token(token, customer.loginid, list(self.scopes), self._config.deriv_app_id))
            query |= {f"acct{number}": customer.loginid, f"token{number}": token, f"cur{number}": customer.currency}
        if "state" in request.query:
            query["state"] = request.query["state"]
        await self._truth.durable()
        joint = "&" if "?" in self.redirect_url else "?"
        return web.Response(status=302, headers={"Location": f"{self.redirect_url}{joint}{urlencode(query)}"})
