"""Unguessable values for sessions, links and codes."""

import secrets

from penpay.domain.identity import CODE_DIGITS


class SystemSecrets:
    """`penpay.http.edge.Secrets` from the operating system."""

    def token(self) -> str:
        return secrets.token_urlsafe(32)

    def code(self) -> str:
        return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
