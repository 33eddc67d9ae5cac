"""Who is asking: argon2 passwords, tokens of sessions and forms, and the brake on guessing.

May import model and web.records. Keeps only attempts in memory; never logs a password, a token or a name.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import ARGON2_VERSION

from mimamori.model.times import HOUR, MINUTE
from mimamori.web.records import Records, Session, Staff

_HASHER = PasswordHasher()
_LANES = 2  # argon2 takes 64 MB and a core each; more at once would starve the loop


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """secret: signs form tokens, at least 32 bytes, the same after a restart or every open form is refused once.

    secure: the cookie goes over HTTPS only; switch off for plain HTTP on a loopback address. session: ns, how long a
    sign-in holds (a shift). tries: failed log-ins in `window` ns before further ones are refused, for a staff id from
    one address; ten times as many from one address.
    """

    secret: bytes
    secure: bool = True
    session: int = 12 * HOUR
    tries: int = 5
    window: int = 5 * MINUTE
    cookie: str = "mimamori"

    def __post_init__(self) -> None:
        if len(self.secret) < 32:
            msg = "the web secret is too short; give at least 32 random bytes"
            raise ValueError(msg)

    @property
    def cookie_age(self) -> int:
        """Seconds, for the cookie's Max-Age."""
        return int(timedelta(microseconds=self.session // 1000).total_seconds())


def _nobodys() -> str:
    """A hash that no password has, made of chance in place of work; verifying against it takes as long as any."""
    salt, body = (b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (_HASHER.salt_len, _HASHER.hash_len))
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${body}"


_NOBODY = _nobodys()  # verified for an unknown id, so that both failures take as long


def hash_password(password: str) -> str:
    """The argon2id hash to keep in the ledger. Raises ValueError for a password that the guideline refuses."""
    kinds = sum((any(map(str.isalpha, password)), any(map(str.isdigit, password)), not password.isalnum()))
    if len(password) < 8 or kinds < 2:
        msg = "a password has 8 characters or more, of at least two kinds (letters, digits, signs)"
        raise ValueError(msg)
    return _HASHER.hash(password)


def token_hash(token: str) -> str:
    """What the ledger keeps of a session's token."""
    return hashlib.sha256(token.encode()).hexdigest()


def form_token(secret: bytes, token: str) -> str:
    """The CSRF token of a session (or of the log-in form's own cookie): bound to it, useless without it."""
    return hmac.new(secret, b"form:" + token.encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


class Brake:
    """Counts failed log-ins by staff id and address, and by address alone. Bounded; forgets after the window."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._failed: dict[str, deque[int]] = {}

    def held(self, staff: str, where: str, now: int) -> bool:
        """Whether a further try must wait."""
        return (
            self._count(_pair(staff, where), now) >= self._settings.tries
            or self._count(where, now) >= 10 * self._settings.tries
        )

    def failed(self, staff: str, where: str, now: int) -> None:
        """Note a failed try."""
        for key in (_pair(staff, where), where):
            self._failed.setdefault(key, deque(maxlen=10 * self._settings.tries)).append(now)
        if len(self._failed) > 10_000:  # a flood of invented ids: forget those whose window is over
            self._failed = {k: v for k, v in self._failed.items() if self._count(k, now)}

    def passed(self, staff: str, where: str) -> None:
        """A right password ends the count for this person here."""
        self._failed.pop(_pair(staff, where), None)

    def _count(self, key: str, now: int) -> int:
        tries = self._failed.get(key)
        if not tries:
            return 0
        while tries and tries[0] <= now - self._settings.window:
            tries.popleft()
        return len(tries)


def _pair(staff: str, where: str) -> str:
    return f"{where} {hashlib.sha256(staff.encode()).hexdigest()}"


class Door:
    """Lets people in: checks passwords, opens and ends sessions."""

    def __init__(self, records: Records, settings: WebSettings) -> None:
        self._records = records
        self._settings = settings
        self._brake = Brake(settings)
        self._lanes = asyncio.Semaphore(_LANES)
        self._lately: dict[str, tuple[str, int]] = {}  # programs send their password with every request

    async def known(self, staff: str, password: str, where: str, now: int) -> Staff | None:
        """The person if the password is right; None for any failure, and none of them can be told from another."""
        if self._brake.held(staff, where, now) or len(password) > 200:
            return None
        person = await self._records.staff(staff)
        kept = person.password_hash if person and person.active else ""
        if not await self._right(staff, kept, password, now):
            self._brake.failed(staff, where, now)
            return None
        self._brake.passed(staff, where)
        return person

    async def open(self, staff: Staff, now: int) -> str:
        """A new session; returns the token for the cookie."""
        token = secrets.token_urlsafe(32)
        await self._records.add_session(
            Session(token_hash=token_hash(token), staff=staff.id, started=now, until=now + self._settings.session)
        )
        return token

    async def holder(self, token: str, now: int) -> Staff | None:
        """Whose session this is, if it still holds."""
        person = await self._records.session(token_hash(token), now) if token else None
        return person if person and person.active else None

    async def end(self, token: str) -> None:
        """Sign out."""
        await self._records.end_session(token_hash(token))

    async def _right(self, staff: str, kept: str, password: str, now: int) -> bool:
        seal = hmac.new(self._settings.secret, f"{kept}\0{password}".encode(), hashlib.sha256).hexdigest()
        before = self._lately.get(staff)
        if kept and before and same(before[0], seal) and now < before[1]:
            return True
        async with self._lanes:
            right = await asyncio.to_thread(_verify, kept or _NOBODY, password) and bool(kept)
        if right:
            self._lately[staff] = (seal, now + 5 * MINUTE)
        return right


def _verify(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False
