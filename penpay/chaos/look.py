"""`penpay chaos --look FOLDER`: the servers of a run that went wrong, without a node, for whoever wants to know why."""

import signal
import threading
from pathlib import Path

from rich.console import Console

from penpay.chaos.pace import STORMY
from penpay.stack import PrivateInstallation

_SHOWN = ("APP_ENV", "PENPAY_")


def look(folder: Path, console: Console) -> int:
    """Start them on the kept data, print what the commands of `penpay` need, wait for Ctrl-C."""
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    with PrivateInstallation(settings=STORMY, data=folder) as installation:
        installation.start_servers()
        path = folder / "environment.sh"
        path.touch(mode=0o600)
        path.write_text("".join(f"export {name}='{value}'\n" for name, value in sorted(_ours(installation).items())))
        console.print(f"logs: {folder / 'logs'}\nrails: {installation.control_url}/truth", highlight=False)
        console.print(f"in another shell: . {path}; penpay check; penpay review list; penpay explain TRANSACTION")
        console.print("Ctrl-C stops the servers; the folder stays")
        done.wait()
    return 0


def _ours(installation: PrivateInstallation) -> dict[str, str]:
    everything = {**installation.environment, "PENPAY_HTTP__PUBLIC_URL": "http://127.0.0.1"}
    return {name: value for name, value in everything.items() if name.startswith(_SHOWN)}
