"""What Twilio tells us: delivery reports, answers by SMS, keys on the telephone. Public routes, signature first.

May import the desk, guard, notify's readers and alerts' texts. Acts only through commands to the loop and the ledger's
reports; never logs a number or a text.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from fastapi import APIRouter, Request, Response

from mimamori.alerts.text import Reply, Texts, parse_reply, reply_text, voice_answer
from mimamori.model.alert import Alert
from mimamori.model.commands import Command, CommandError
from mimamori.model.notice import HOME, Channel, NoticeState, Status
from mimamori.model.times import HOUR
from mimamori.notify.callback import Answer, genuine, is_read, key_of, read_answer, read_call, read_report
from mimamori.notify.twiml import last_words, write_back
from mimamori.store.records import Staff
from mimamori.web.desk import Desk

CALLS = frozenset({"first", "repeat", "escalated", "bundle", "test"})
LARGEST = 64 * 1024
ANSWERS_AN_HOUR = 5
"""Answers to what we did not understand, to one person: two machines must not talk to each other for ever."""
REMEMBERED = 1000


class PhoneRecords(Protocol):
    """The ledger as the telephone routes see it."""

    async def all_staff(self) -> list[Staff]: ...

    async def notices(
        self, *, alert: str | None = None, recipient: str | None = None, limit: int = 200
    ) -> list[NoticeState]: ...

    async def report_notice(
        self, key: str, *, provider_id: str, status: Status, detail: str, now: int
    ) -> str | None: ...

    async def read_notice(self, key: str, now: int) -> bool: ...

    async def note_reach(self, recipient: str, channel: Channel, *, detail: str, now: int) -> None: ...


@dataclass(kw_only=True)
class Phone:
    """The telephone's side of the service.

    public_url: as Twilio reaches us, before any proxy; its path comes before ours. clock: the loop's, ns. place: the
    code by which messages name a household. counts: reports, answers and refusals since the start.
    """

    token: str = field(repr=False)
    public_url: str
    desk: Desk
    records: PhoneRecords
    texts: Texts
    clock: Callable[[], int]
    places: Mapping[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _seen: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _unclear: dict[str, list[int]] = field(default_factory=dict)

    def router(self) -> APIRouter:
        """The routes under /twilio. They need no sign-in: a request without Twilio's signature is refused."""
        router = APIRouter(prefix="/twilio", tags=["telephone"])
        router.post("/sms/status")(self.sms_status)
        router.post("/sms/reply")(self.sms_reply)
        router.post("/voice/status")(self.voice_status)
        router.post("/voice/keys")(self.voice_keys)
        return router

    async def sms_status(self, request: Request) -> Response:
        """What became of a message."""
        form = await self._believed(request)
        report = read_report(form) if form is not None else None
        if form is None:
            return Response(status_code=403)
        if report is not None:
            key = await self.records.report_notice(
                key_of(request.query_params.get("n", "")), provider_id=report.provider_id, status=report.status,
                detail=report.detail, now=self.clock(),
            )  # fmt: skip
            self.counts["reports" if key else "unknown"] += 1
            if key and is_read(form):
                await self.records.read_notice(key, self.clock())
        return Response(status_code=204)

    async def sms_reply(self, request: Request) -> Response:
        """A person has written to us: their answer takes the alert, and is answered."""
        form = await self._believed(request)
        if form is None:
            return Response(status_code=403)
        answer, words = read_answer(form), ""
        if answer is not None:
            self.counts["answers"] += 1
            known = self._seen.get(answer.provider_id)  # the same request may come twice
            words = await self._answered(answer) if known is None else known
            self._remember(answer.provider_id, words)
        return Response(write_back(words), media_type="text/xml")

    async def voice_status(self, request: Request) -> Response:
        """What became of a call."""
        form = await self._believed(request)
        report = read_call(form) if form is not None else None
        if form is None:
            return Response(status_code=403)
        if report is not None:
            key = key_of(request.query_params.get("n", ""))
            tested = report.status == "failed" and form["CallStatus"] == "completed" and "|test|" in key
            report = replace(report, status="delivered", detail="the test was answered") if tested else report
            await self.records.report_notice(
                key, provider_id=report.provider_id, status=report.status, detail=report.detail, now=self.clock()
            )  # fmt: skip
            self.counts["reports"] += 1
        return Response(status_code=204)

    async def voice_keys(self, request: Request) -> Response:
        """A key was pressed during a call."""
        form = await self._believed(request)
        if form is None:
            return Response(status_code=403)
        key = key_of(request.query_params.get("n", ""))
        alert, found = key.split("|", 1)[0], None
        for state in await self.records.notices(alert=alert, limit=1000):
            found = state if state.notice.key == key else found
        words = "over"
        who = ""
        if found is not None:
            await self.records.read_notice(key, self.clock())
            self.counts["answers"] += 1
            words, who = await self._pressed(found, form.get("Digits", "")[:1])
        language = self.texts.language
        return Response(last_words(voice_answer(self.texts, words, who), language), media_type="text/xml")

    # ------------------------------------------------------------------ what an answer does

    async def _resident(self, alert: str, digit: str) -> str:
        """Whatever the resident presses but 1 brings somebody."""
        if digit == "1":
            return "well" if await self._do(Command(action="well", alert=alert, by="resident")) else "over"
        await self._do(Command(action="help", alert=alert, by="resident"))
        return "help"

    async def _pressed(self, state: NoticeState, digit: str) -> tuple[str, str]:  # noqa: PLR0911 - a table of cases
        """(field of the voice texts to say, who has the alert)."""
        notice = state.notice
        if notice.kind == "test":
            return "received", ""
        if notice.recipient.startswith(HOME):
            return await self._resident(notice.alert, digit), ""
        alert = self.desk.alert(notice.alert)
        if alert is None or alert.state == "resolved":
            return "over", ""
        if alert.state == "acknowledged" and alert.owner != notice.recipient:
            return "already", alert.owner
        if digit == "2":
            await self._do(Command(action="release", alert=alert.id, by=notice.recipient))
            return "passed", ""
        if digit != "1":
            return "over", ""
        reason = f"{notice.recipient} が電話で対応を受けました / taken by telephone"
        done = await self._do(Command(action="acknowledge", alert=alert.id, by=notice.recipient, text=reason))
        return ("taken" if done else "over"), ""

    async def _answered(self, answer: Answer) -> str:
        """Acts on one SMS; what is written back, "" for nothing."""
        number = _digits(answer.sender)
        person = next((s for s in await self.records.all_staff() if s.active and _digits(s.phone) == number), None)
        if person is None:
            self.counts["strangers"] += 1
            return ""
        reply = parse_reply(answer.text)
        now = self.clock()
        if reply.action == "stop":  # Twilio answers these two itself
            await self.records.note_reach(person.id, "sms", detail="the person has answered STOP", now=now)
            return ""
        await self.records.note_reach(person.id, "sms", detail="", now=now)
        if reply.action == "start":
            return ""
        state, alert = await self._meant(person.id)
        if state is not None:
            await self.records.read_notice(state.notice.key, now)
        return await self._carry_out(person, reply, state, alert, answer.text)

    async def _carry_out(  # noqa: PLR0911 - a table of cases
        self, person: Staff, reply: Reply, state: NoticeState | None, alert: Alert | None, text: str
    ) -> str:
        if state is not None and state.notice.kind == "test":
            return reply_text(self.texts, "received")
        if state is not None and state.notice.kind == "bundle":
            return reply_text(self.texts, "bundle")
        if alert is None:
            return self._unsure(person.id, "none")
        if reply.action == "unknown":
            await self._do(Command(action="note", alert=alert.id, by=person.id, text=f"SMS: {text[:200]}"))
            return self._unsure(person.id, "unclear")
        placed = replace(alert, household=self.places.get(alert.household, alert.household))
        if alert.state == "acknowledged" and alert.owner != person.id:
            return reply_text(self.texts, "already", placed)
        if reply.action == "pass":
            done = await self._do(Command(action="release", alert=alert.id, by=person.id))
            return reply_text(self.texts, "passed", placed) if done else self._unsure(person.id, "none")
        reason = f"{person.id} がSMSで対応を受けました / taken by SMS"
        done = await self._do(Command(action="acknowledge", alert=alert.id, by=person.id, text=reason))
        return reply_text(self.texts, "taken", placed) if done else self._unsure(person.id, "none")

    async def _meant(self, staff: str) -> tuple[NoticeState | None, Alert | None]:
        """The message that an answer is about: the newest about an alert that is open, else the newest at all."""
        states = [
            s for s in await self.records.notices(recipient=staff, limit=100)
            if s.notice.kind in CALLS and s.notice.channel == "sms" and s.status not in {"planned", "cancelled"}
        ]  # fmt: skip
        states.sort(key=lambda s: s.planned_at, reverse=True)
        alerts = [self.desk.alert(s.notice.alert) for s in states]
        for state, alert in zip(states, alerts, strict=True):
            if state.notice.kind in {"test", "bundle"} or (alert is not None and alert.state == "open"):
                return state, alert
        for state, alert in zip(states, alerts, strict=True):
            if alert is not None and alert.state != "resolved":
                return state, alert
        return None, None

    async def _do(self, command: Command) -> bool:
        try:
            await self.desk.send(command)
        except CommandError:
            self.counts["refused_commands"] += 1
            return False
        return True

    def _unsure(self, staff: str, key: str) -> str:
        now = self.clock()
        recent = [t for t in self._unclear.get(staff, []) if t > now - HOUR]
        self._unclear[staff] = [*recent, now]
        return reply_text(self.texts, key) if len(recent) < ANSWERS_AN_HOUR else ""

    def _remember(self, provider_id: str, words: str) -> None:
        if provider_id:
            self._seen[provider_id] = words
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    async def _believed(self, request: Request) -> dict[str, str] | None:
        """The form, None if Twilio did not sign it for our public address."""
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            self.counts["refused"] += 1
            return None
        form = {k: str(v) for k, v in (await request.form()).items()}
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{self.public_url.rstrip('/')}{request.url.path}{query}"
        if genuine(self.token, url, form, request.headers.get("x-twilio-signature", "")):
            return form
        self.counts["refused"] += 1
        return None


def _digits(phone: str) -> str:
    return "".join(c for c in phone if c.isdecimal())
