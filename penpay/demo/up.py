"""`penpay up`: a private installation to play with, a customer who is ready, and three lines to paste."""

import asyncio
import json
import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console

from penpay.client import Client
from penpay.demo.play import Stage, device_of, sign_up
from penpay.demo.rails import SandboxControl
from penpay.stack.installation import PrivateInstallation
from penpay.stack.process import ChildProcess

NUMBER = 700_000_001
PIN = "274913"
SETTINGS = {"PENPAY_TIMING__SPEED": "1", "PENPAY_NODE__LOG_LEVEL": "info"}
ANSWER_S = 20.0
LOOK_S = 0.5
_PICK = """python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])'"""


@dataclass(frozen=True, slots=True)
class Ready:
    """Where everything is, and who may sign in."""

    public_url: str
    internal_url: str
    control_url: str
    ops_token: str
    configured: str
    """A file that configures the other commands for this installation."""
    email: str
    password: str

    @property
    def console_url(self) -> str:
        """The operators' page."""
        return f"{self.internal_url}/console"

    def lines(self) -> list[str]:
        """Three lines for a shell: sign in, deposit, follow."""
        api = f"{self.public_url}/api/v1"
        device = {"id": device_of(NUMBER), "name": "laptop", "platform": "web"}
        login = json.dumps({"email": self.email, "password": self.password, "device": device})
        amount = json.dumps({"amount": {"amount": "1300.00", "currency": "KES"}})
        sends = "-H 'Content-Type: application/json'"
        signed = '-H "Authorization: Bearer $TOKEN"'
        key = '-H "Idempotency-Key: $(date +%s%N)"'
        return [
            f"TOKEN=$(curl -s {api}/auth/login {sends} -d '{login}' | {_PICK})",
            f"curl -s {api}/deposits {signed} {key} {sends} -d '{amount}'",
            f"curl -sN --max-time 7 {api}/events {signed} -H 'Last-Event-ID: 0-0' | sed '/COMPLETED/q'",
        ]


def run(console: Console | None = None) -> int:
    """Start, print, wait for Ctrl-C or for a part that ends, stop what was started."""
    console = console or Console(soft_wrap=True)
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    with PrivateInstallation(
        settings=SETTINGS, on_step=lambda step: console.print(f"  starting {step}")
    ) as installation:
        installation.start()
        ready = asyncio.run(prepare(installation))
        show(console, ready)
        return attend(installation.parts, done, console)


def attend(parts: Sequence[ChildProcess], done: threading.Event, console: Console) -> int:
    """Wait until `done`, or until a part has ended: what is left would only look as if it were up."""
    while not done.wait(LOOK_S):
        for part in parts:
            if (code := part.exit_code) is not None:
                console.print(f"{part.name} has ended with {code}")
                if code:
                    console.print(part.log_tail(), markup=False, highlight=False)
                done.set()
                break
    console.print("stopping")
    return int(any(part.exit_code for part in parts))


async def prepare(installation: PrivateInstallation) -> Ready:
    """A customer with a verified phone, a linked Deriv account and a PIN."""
    public = installation.node.public_url
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(installation.control_url, session)
        client = Client(public, session)
        who = await sign_up(Stage(public, session, control, ANSWER_S), client, f"254{NUMBER}", NUMBER)
        await client.call("PUT", "/me/pin", {"pin": PIN, "password": who.password})
    return Ready(
        public,
        installation.node.internal_url,
        installation.control_url,
        installation.ops_token,
        str(configuration(installation.folder, {**installation.environment, **(installation.node.env or {})})),
        who.email,
        who.password,
    )


def configuration(folder: Path, environment: Mapping[str, str]) -> Path:
    """What makes a shell's `penpay` speak of this installation, gone with it. It holds secrets, for nobody else."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    lines = [
        f'export PATH={programs}:"$PATH"\n',
        *(
            f"export {name}={shlex.quote(value)}\n"
            for name, value in sorted(environment.items())
            if name == "APP_ENV" or name.startswith("PENPAY_")
        ),
    ]
    written = folder / "environment.sh"
    written.touch(mode=0o600)
    written.write_text("".join(lines))
    return written


def show(console: Console, ready: Ready) -> None:
    """Print all of it."""
    console.print("\n[bold]PenPay is up.[/] Ctrl-C stops it.\n")
    for name, value in (
        ("API", f"{ready.public_url}/api/v1"),
        ("API docs", f"{ready.public_url}/docs"),
        ("console", f"{ready.console_url}   (token {ready.ops_token})"),
        ("metrics", f"{ready.internal_url}/metrics"),
        ("tree", f"{ready.internal_url}/ops/tree   (Authorization: Bearer with the same token)"),
        ("rails", f"{ready.control_url}   (scripts and ground truth of the simulated rails)"),
        ("commands", f". {ready.configured}   (then `penpay review list`, `penpay explain …`, in that shell)"),
        ("customer", f"{ready.email} / {ready.password}, PIN {PIN}"),
    ):
        console.print(f"  {name:<9} {value}", highlight=False)
    console.print("\nSign in, deposit, follow:\n")
    for line in ready.lines():
        # At once, also into a pipe: whoever reads it waits for these lines.
        print(line, flush=True)  # noqa: T201 - to be pasted: nothing may wrap or colour it
