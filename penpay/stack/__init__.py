"""Private servers as child processes: what `./dev`, `penpay demo` and the tests run on.

Nothing here touches a system-wide service or a fixed port. Sockets lie in a short folder under /tmp, since a Unix
socket path may have about 107 bytes; children die with their parent; each run cleans up what a killed one left.
"""

from penpay.stack.folder import RunFolder, clean_environment, free_port
from penpay.stack.installation import NodeProcess, PrivateInstallation
from penpay.stack.mariadb import Login, PrivateMariaDB
from penpay.stack.process import ChildProcess, ProcessFailed
from penpay.stack.redis import PrivateRedis

__all__ = [
    "ChildProcess",
    "Login",
    "NodeProcess",
    "PrivateInstallation",
    "PrivateMariaDB",
    "PrivateRedis",
    "ProcessFailed",
    "RunFolder",
    "clean_environment",
    "free_port",
]
