"""Argon2id with a pepper, off the loop, in two bounded lanes: a rush of sign-ins never delays a PIN."""

import asyncio
import base64
import hmac
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from config.limits import ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, HASH_QUEUE_MAX
from penpay.domain.errors import Unavailable

Result = TypeVar("Result")


class Lane:
    """One thread and a bounded queue before it."""

    def __init__(self, name: str, *, waiting_max: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0
        self._queued = 0
        self._waiting_max = waiting_max
        self._next = asyncio.Semaphore(2)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Raises `Unavailable` at once when the queue is full."""
        if self._waiting >= self._waiting_max:
            raise Unavailable("hashing", retry_after_s=2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until this one is next or next but one, so that nobody is left behind work begun for the queue.

        Raises `Unavailable` at once when the queue is full.
        """
        if self._queued >= self._waiting_max:
            raise Unavailable("hashing", retry_after_s=2.0)
        self._queued += 1
        try:
            async with self._next:
                yield
        finally:
            self._queued -= 1

    def close(self) -> None:
        """Let what runs finish, drop the rest."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Argon2Passwords:
    """`penpay.http.accounts.Passwords`: m = 19 MiB, t = 2, p = 1. `pepper` is no part of the database."""

    def __init__(self, *, pepper: bytes, memory_kib: int = ARGON2_MEMORY_KIB, passes: int = ARGON2_PASSES) -> None:
        self._pepper = pepper
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=ARGON2_LANES, hash_len=32, salt_len=16
        )
        # What an unknown address is checked against: the same work, and never right.
        self._nobody = self._hasher.hash(b"nobody")
        self._passwords = Lane("passwords", waiting_max=HASH_QUEUE_MAX)
        self._pins = Lane("pins", waiting_max=HASH_QUEUE_MAX)

    async def hash_password(self, password: str) -> str:
        return await self._passwords.run(lambda: self._hasher.hash(self._peppered("password", password)))

    async def check_password(self, stored: str, password: str) -> bool:
        return await self._passwords.run(lambda: self._right(stored, self._peppered("password", password)))

    def is_outdated(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)

    async def hash_pin(self, user_id: str, pin: str) -> str:
        return await self._pins.run(lambda: self._hasher.hash(self._peppered(f"pin|{user_id}", pin)))

    def pin_turn(self) -> AbstractAsyncContextManager[None]:
        return self._pins.turn()

    async def check_pin(self, user_id: str, stored: str, pin: str) -> bool:
        """The caller has counted this try in the database before it asks."""
        return await self._pins.run(lambda: self._right(stored, self._peppered(f"pin|{user_id}", pin)))

    def close(self) -> None:
        """Stop both lanes."""
        self._passwords.close()
        self._pins.close()

    def _peppered(self, purpose: str, secret: str) -> bytes:
        # Keyboards differ in how they write the same letter (NIST 800-63B, 5.1.1.2).
        same = unicodedata.normalize("NFKC", secret)
        return base64.b64encode(hmac.digest(self._pepper, f"{purpose}|{same}".encode(), "sha256"))

    def _right(self, stored: str, secret: bytes) -> bool:
        try:
            self._hasher.verify(stored or self._nobody, secret)
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored)
