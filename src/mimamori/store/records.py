"""What the ledger keeps beside alerts and notices: people, devices, absences, access, sessions, the engine's mark.

May import model only. Plain facts; times are int ns UTC, NEVER where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mimamori.model.times import NEVER

Role = Literal["nurse", "on-call", "administrator", "auditor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """One person of the staff. phone in E.164 or "", email or ""; never logged. password_hash "" = cannot log in."""

    id: str
    name: str
    role: Role
    phone: str = ""
    email: str = ""
    password_hash: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """One household's resident. code: what may be shown where the name may not. watched: False after leaving.

    phone: of the home, E.164 or ""; for the call that asks the resident first. Never logged.
    """

    household: str
    code: str
    name: str = ""
    area: str = ""
    room: str = ""
    risk: str = ""
    note: str = ""
    watched: bool = True
    phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One registered device of a household, with the profile it is decoded by. NEVER for a time that nobody noted."""

    household: str
    device: str
    profile: str
    active: bool = True
    claimed_at: int = NEVER
    retired_at: int = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A declared absence from `start` to `end` (NEVER: until further notice). kind: hospital, family, travel, ..."""

    id: str
    household: str
    kind: str
    start: int
    end: int = NEVER
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is told of every change of an alert. secret: "whsec_" and base64, never shown again or logged.

    detail: why it is not active, "" while it is or an administrator ended it.
    """

    id: str
    url: str
    secret: str
    by: str
    added: int
    active: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What one of the staff wrote about a household, by whom and when; never changed afterwards.

    kind: "note", or "letter" and its month, such as "letter 2026-11", for words that go into the family's letter.
    """

    id: str
    household: str
    at: int
    by: str
    text: str
    kind: str = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to call about a household. phone in E.164; never logged. turn: 1 is called first.

    relation: family, neighbour, doctor, care-manager, helper or other. active: False once removed.
    """

    id: str
    household: str
    name: str
    relation: str
    phone: str
    turn: int = 1
    note: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A parameter of a rule that is one household's own, until `until` (ns): then the rule's holds again.

    value: JSON, as rules.tune writes settings. active: False once somebody has ended it.
    """

    household: str
    rule: str
    key: str
    value: str
    reason: str
    by: str
    since: int
    until: int
    active: bool = True


TrialStatus = Literal["running", "ended", "in-force", "replaced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Other parameters of a rule: first as a shadow that tells nobody, then perhaps in force for everybody.

    settings: JSON object, as rules.tune writes settings: all that differs from the rule's file. base: digest of the
    condition in the file that they were made for. version: of the rule, counted from 1; 0 while a shadow.
    """

    id: str
    rule: str
    settings: str
    name: str
    reason: str
    by: str
    since: int
    base: str
    status: TrialStatus = "running"
    version: int = 0
    decided: int = NEVER  # when it was put in force, replaced or ended
    decided_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAlert:
    """What a shadow would have told. id: the trial's id, a slash, and the id that the alert would have had."""

    id: str
    trial: str
    household: str
    device: str
    priority: str
    opened: int
    ended: int
    why_ja: str
    why_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who looked at, or changed, what of whom. who: staff id. whose: household, "" for all. where: page or address."""

    who: str
    whose: str
    what: str
    at: int
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMark:
    """The engine's snapshot at grid time `at`: version of the format, digest of the content, state as bytes."""

    at: int
    version: int
    digest: str
    blob: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwatched:
    """Nobody watched from the tick `since` to the tick `until`, ns."""

    since: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A log-in of a staff member, in force in [started, until). Only the hash of the token is kept."""

    token_hash: str
    staff: str
    started: int
    until: int


Entry = Staff | Resident | Device | Absence | Note | Contact | Webhook | Limit | Trial
"""What people enter, each with its line in the access log."""


class TakenError(Exception):
    """A device is claimed that is in use, or retired that is not: somebody else was quicker. Nothing was done."""
