"""What Twilio posts to us: delivery reports and answers, checked by signature before anything in them is believed.

May import model only. The web side passes the form and headers in; nothing here touches the network.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from mimamori.model.notice import Status
from mimamori.notify.codes import Chance, judge

_STATUS: Mapping[str, Status] = {
    "accepted": "sent", "scheduled": "sent", "queued": "sent", "sending": "sent", "sent": "sent",
    "delivered": "delivered", "read": "delivered", "partially_delivered": "delivered", "undelivered": "failed",
    "failed": "failed", "canceled": "failed",
}  # fmt: skip
_RANK: Mapping[Status, int] = {"planned": 0, "cancelled": 0, "sending": 1, "sent": 2, "failed": 3, "delivered": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a message. chance: for "failed", whether this number may be tried again; "" otherwise."""

    provider_id: str
    status: Status
    chance: Chance | Literal[""]
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An SMS that somebody sent to us. sender: E.164; never logged."""

    provider_id: str
    sender: str
    text: str


def with_key(url: str, key: str) -> str:
    """A callback's URL that says which notice it is about, in signs that no proxy or client writes differently."""
    return f"{url}?n={base64.urlsafe_b64encode(key.encode()).decode().rstrip('=')}"


def key_of(token: str) -> str:
    """The notice's key in such a URL's `n`, "" for none or nonsense."""
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def is_read(form: Mapping[str, str]) -> bool:
    """Whether the report is a receipt that the person has opened the message."""
    return form.get("MessageStatus", "").lower() == "read"


def genuine(token: str, public_url: str, form: Mapping[str, str], signature: str) -> bool:
    """Whether Twilio signed this request. public_url: as Twilio called it, which behind a proxy is not what we see.

    Compared in constant time, with and without the scheme's port, since Twilio has signed both ways.
    """
    validator = RequestValidator(token)
    given = signature.encode()
    wanted = [validator.compute_signature(url, dict(form)) for url in _spellings(public_url)]
    matches = [hmac.compare_digest(w.encode(), given) for w in wanted]
    return any(matches)


def _spellings(url: str) -> list[str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    port = ":443" if scheme == "https" else ":80"
    if host.endswith(port):
        return [url, f"{scheme}://{host.removesuffix(port)}{slash}{path}"]
    return [url] if ":" in host else [url, f"{scheme}://{host}{port}{slash}{path}"]


def read_report(form: Mapping[str, str]) -> Report | None:
    """The delivery report in a form, None if it is none we know."""
    status = _STATUS.get(form.get("MessageStatus", form.get("SmsStatus", "")).lower())
    key = form.get("MessageSid", form.get("SmsSid", ""))
    if status is None or not key:
        return None
    code = form.get("ErrorCode", "")
    if status != "failed":
        return Report(provider_id=key, status=status, chance="", detail=f"Twilio: {form.get('MessageStatus', '')}")
    chance, reason = judge(int(code) if code.isdecimal() else 0)
    return Report(provider_id=key, status=status, chance=chance, detail=reason)


_CALL: Mapping[str, tuple[Status, str]] = {
    "queued": ("sent", ""), "initiated": ("sent", ""), "ringing": ("sent", ""), "in-progress": ("sent", ""),
    "completed": ("failed", "answered, but no key was pressed"), "busy": ("failed", "the line is engaged"),
    "no-answer": ("failed", "nobody answered"), "failed": ("failed", "the call could not be made"),
    "canceled": ("failed", "the call was cancelled"),
}  # fmt: skip


def read_call(form: Mapping[str, str]) -> Report | None:
    """What became of a call. Only a key that was pressed is an answer: until then even a completed one has failed."""
    found, key = _CALL.get(form.get("CallStatus", "").lower()), form.get("CallSid", "")
    if found is None or not key:
        return None
    status, words = found
    return Report(
        provider_id=key, status=status, chance="retry" if status == "failed" else "",
        detail=words or f"Twilio: {form['CallStatus']}",
    )  # fmt: skip


def newer(before: Status, report: Status) -> bool:
    """Whether a report adds to what is known: reports come doubled and out of order, and delivered is final."""
    return _RANK[report] > _RANK[before]


def read_answer(form: Mapping[str, str]) -> Answer | None:
    """The SMS in a form, None if there is none."""
    if not form.get("From") or "Body" not in form:
        return None
    return Answer(provider_id=form.get("MessageSid", ""), sender=form["From"], text=form["Body"])
