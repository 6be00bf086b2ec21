"""All parts of one sandbox, put together once."""

import os
from typing import Any

from aiohttp import web

from penpay.sandbox.config import DerivKnobs, SandboxConfig, daraja_knobs
from penpay.sandbox.daraja.rail import DarajaRail
from penpay.sandbox.deriv.hub import Hub
from penpay.sandbox.deriv.money import ALL_SCOPES
from penpay.sandbox.deriv.oauth import OAuthPage
from penpay.sandbox.facts import Boot, Customer, Opening, Token
from penpay.sandbox.feeds import Feeds
from penpay.sandbox.ids import Ids, now_epoch_s
from penpay.sandbox.postman import Postman
from penpay.sandbox.smtp import MailServer
from penpay.sandbox.truth import Truth


class House:
    """Truth, rails and feeds of one sandbox. The same data folder brings the same truth back."""

    def __init__(self, config: SandboxConfig) -> None:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.identity: dict[str, Any] = {}
        self.truth = Truth(config.data_dir / "truth.jsonl", forced=not config.fast)
        self._open_books()
        knobs = daraja_knobs(config)
        self.ids = Ids(seed=config.seed, boot=self.truth.world.boot)
        self.postman = Postman(knobs)
        self.daraja = DarajaRail(config, knobs, self.truth, self.ids, self.postman)
        self.deriv = Hub(config, DerivKnobs(), self.truth, self.ids, self.postman)
        self.oauth = OAuthPage(config, self.truth, self.ids, self.deriv.money)
        self.feeds = Feeds(config, self.truth, self.ids)
        self.mail = MailServer(self.truth)

    def _open_books(self) -> None:
        """Count this start, and in an empty truth book the opening balances."""
        config, world = self.config, self.truth.world
        self.truth.record(Boot(world.boot + 1, now_epoch_s()))
        if world.opening is not None:
            return
        self.truth.record(
            Opening(
                config.opening_paybill_minor,
                config.opening_utility_minor,
                config.agent_loginid,
                config.agent_token,
                config.agent_fullname,
                config.opening_agent_minor,
                10**13 if config.fast else config.opening_wallet_minor,
            )
        )
        agent = Customer(
            config.agent_loginid,
            config.agent_fullname,
            "agent@sandbox.example",
            "USD",
            "ke",
            config.opening_agent_minor,
            is_agent=True,
        )
        self.truth.record(agent)
        self.truth.record(Token(config.agent_token, config.agent_loginid, list(ALL_SCOPES)))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        self.daraja.add_routes(router)
        router.add_route("GET", "/websockets/v3", self.deriv.serve)
        router.add_route("GET", "/oauth2/authorize", self.oauth.serve)
        router.add_route("GET", "/fx/{source:primary|second}", self.feeds.serve_rates)
        router.add_route("POST", "/version1/messaging", self.feeds.serve_sms)

    def introduce(self, host: str, port: int, smtp_port: int) -> dict[str, Any]:
        """What a client has to know: URLs, credentials, and the environment that points a node here."""
        config, http = self.config, f"http://{host}:{port}"
        environment = {
            "PENPAY_DERIV__WS_URL": f"ws://{host}:{port}/websockets/v3",
            "PENPAY_DERIV__APP_ID": config.deriv_app_id,
            "PENPAY_DERIV__AGENT_TOKEN": config.agent_token,
            "PENPAY_DERIV__AGENT_LOGINID": config.agent_loginid,
            "PENPAY_DERIV__OAUTH_URL": f"{http}/oauth2/authorize",
            "PENPAY_DARAJA__BASE_URL": http,
            "PENPAY_DARAJA__CONSUMER_KEY": config.consumer_key,
            "PENPAY_DARAJA__CONSUMER_SECRET": config.consumer_secret,
            "PENPAY_DARAJA__SHORTCODE": config.shortcode,
            "PENPAY_DARAJA__PASSKEY": config.passkey,
            "PENPAY_DARAJA__B2C_SHORTCODE": config.b2c_shortcode,
            "PENPAY_DARAJA__INITIATOR_NAME": config.initiator_name,
            "PENPAY_DARAJA__INITIATOR_PASSWORD": config.initiator_password,
            "PENPAY_DARAJA__CERTIFICATE": str(self.daraja.initiator.certificate_path.absolute()),
            "PENPAY_FX__URL": f"{http}/fx/primary",
            "PENPAY_FX__SECOND_URL": f"{http}/fx/second",
            "PENPAY_SMS__URL": f"{http}/version1/messaging",
            "PENPAY_SMS__USERNAME": config.sms_username,
            "PENPAY_SMS__API_KEY": config.sms_api_key,
        }
        if not config.fast:
            # A benchmark measures money, not mail.
            environment |= {
                "PENPAY_SMTP__HOST": host,
                "PENPAY_SMTP__PORT": str(smtp_port),
                "PENPAY_SMTP__FROM": "PenPay <no-reply@penpay.example>",
            }
        self.identity = {
            "ready": True,
            "pid": os.getpid(),
            "url": http,
            "control_url": f"{http}/control",
            "environment": environment,
        }
        return self.identity

    async def start(self) -> None:
        """Write the opening facts, then take up what was open."""
        await self.truth.durable()
        self.daraja.resume()

    async def close(self) -> None:
        await self.mail.close()
        await self.postman.close()
        self.truth.close()
