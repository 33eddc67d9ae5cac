"""A stand-in for Twilio: a real HTTP server that speaks its message and call API, for the demo and for tests.

May import its neighbours only. Sends no SMS: keeps what it was given, reports delivery by signed
callbacks, and can be told to fail, to stay silent, to report twice or in the wrong order.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import aiohttp
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
START = frozenset({"start", "yes", "unstop"})


@dataclass(slots=True, kw_only=True)
class Message:
    """One message taken."""

    sid: str
    to: str
    sender: str
    body: str
    status: str
    callback: str
    made: str


@dataclass(slots=True, kw_only=True)
class Call:
    """One call taken. heard: every text read out, in order; keys: what was pressed."""

    sid: str
    to: str
    sender: str
    twiml: str
    status: str
    callback: str
    made: str
    heard: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How one number behaves.

    refuse: error code of the request itself, 0 to take it. http: status code of that refusal. silent: never answers.
    reports: statuses reported after taking it, in this order, doubled or wrong as wished. error: code sent along with
    "undelivered" and "failed". delay: seconds before each report. call: how a call ends ("completed": somebody
    answers; "busy", "no-answer", "failed"). keys: what is pressed at each question, "" for nothing.
    """

    refuse: int = 0
    http: int = 400
    silent: bool = False
    reports: tuple[str, ...] = ("sent", "delivered")
    error: int = 30008
    delay: float = 0.0
    call: str = "completed"
    keys: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class StandIn:
    """The telephone network. `lines` says how a number behaves, `usual` how all others do."""

    account: str
    token: str
    clock: Callable[[], str]  # the date in an answer, as RFC 2822 has it
    reply_url: str = ""  # where answers of people are posted to
    usual: Line = field(default_factory=Line)
    lines: dict[str, Line] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    written: list[tuple[str, str]] = field(default_factory=list)  # our answers to answers: (to, text)
    stopped: set[str] = field(default_factory=set)
    unposted: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    released: asyncio.Event = field(default_factory=asyncio.Event)  # lets requests to silent numbers end
    app: FastAPI = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _count: int = 0

    def __post_init__(self) -> None:
        self.app = FastAPI(openapi_url=None)
        self.app.post("/2010-04-01/Accounts/{account}/Messages.json")(self._create)
        self.app.get("/2010-04-01/Accounts/{account}/Messages.json")(self._list)
        self.app.get("/2010-04-01/Accounts/{account}/Messages/{sid}.json")(self._fetch)
        self.app.post("/2010-04-01/Accounts/{account}/Calls.json")(self._dial)
        self.app.get("/2010-04-01/Accounts/{account}/Calls.json")(self._list_calls)

    async def reply(self, sender: str, to: str, text: str) -> int:
        """A person answers: posts the signed webhook; the HTTP status of whoever took it. Keeps STOP and START."""
        word = text.strip().casefold()
        if word in STOP:
            self.stopped.add(sender)
        if word in START:
            self.stopped.discard(sender)
        form = {
            "MessageSid": self._sid(), "AccountSid": self.account, "From": sender, "To": to, "Body": text,
            "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01",
        }  # fmt: skip
        status, answer = await self._post(self.reply_url, form)
        if status == 200 and answer:
            self.written += [(sender, e.text or "") for e in _markup(answer).iter("Message")]
        return status

    async def settle(self) -> None:
        """Waits until every report under way has been posted."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _create(self, account: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
        if not self._known(account, authorization):
            return _refusal(20003, 401, "Authenticate")
        form = {k: str(v) for k, v in (await request.form()).items()}
        to, body, callback = form.get("To", ""), form.get("Body", ""), form.get("StatusCallback", "")
        service = form.get("MessagingServiceSid", "")
        sender = service or form.get("From", "")
        line = self.lines.get(to, self.usual)
        if line.silent:
            await self.released.wait()
            return _refusal(20500, 500, "no answer in time")
        code = self._objection(to, body, sender) or line.refuse
        if code:
            return _refusal(code, line.http if line.refuse else 400, f"refused, {code}")
        message = Message(
            sid=self._sid(), to=to, sender=sender, body=body, callback=callback,
            status="accepted" if service else "queued", made=self.clock(),
        )  # fmt: skip
        async with self.changed:
            self.messages.append(message)
            self.changed.notify_all()
        if callback:
            self._later(self._report(message, line))
        return JSONResponse(self._show(message), status_code=201)

    async def _dial(self, account: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
        if not self._known(account, authorization):
            return _refusal(20003, 401, "Authenticate")
        form = {k: str(v) for k, v in (await request.form()).items()}
        to, sender, words = form.get("To", ""), form.get("From", ""), form.get("Twiml", "")
        line = self.lines.get(to, self.usual)
        if line.silent:
            await self.released.wait()
            return _refusal(20500, 500, "no answer in time")
        code = (self._objection(to, words, sender) if to not in self.stopped else 0) or line.refuse
        if code:
            return _refusal(code, line.http if line.refuse else 400, f"refused, {code}")
        call = Call(
            sid=self._sid("CA"), to=to, sender=sender, twiml=words, status="queued",
            callback=form.get("StatusCallback", ""), made=self.clock(),
        )  # fmt: skip
        async with self.changed:
            self.calls.append(call)
            self.changed.notify_all()
        self._later(self._talk(call, line))
        return JSONResponse(self._show_call(call), status_code=201)

    async def _talk(self, call: Call, line: Line) -> None:
        """The telephone rings; whoever answers hears the words and presses keys."""
        await asyncio.sleep(line.delay)
        call.status = line.call
        if line.call == "completed":
            call.status = "in-progress"
            await self._call_report(call)
            await self._listen(call, list(line.keys))
            call.status = "completed"
        await self._call_report(call)
        async with self.changed:
            self.changed.notify_all()

    async def _listen(self, call: Call, keys: list[str]) -> None:
        words: str | None = call.twiml
        while words:
            document, words = _markup(words), None
            for verb in document:
                call.heard += [e.text or "" for e in verb.iter("Say")]
                key = keys.pop(0) if verb.tag == "Gather" and keys else ""
                if verb.tag == "Hangup":
                    break
                if key:
                    call.keys.append(key)
                    form = self._call_form(call) | {"Digits": key}
                    _, words = await self._post(verb.attrib["action"], form)
                    break

    async def _call_report(self, call: Call) -> None:
        if call.callback:
            await self._post(call.callback, self._call_form(call))

    def _call_form(self, call: Call) -> dict[str, str]:
        return {
            "CallSid": call.sid, "AccountSid": self.account, "To": call.to, "From": call.sender,
            "CallStatus": call.status, "Direction": "outbound-api", "ApiVersion": "2010-04-01",
        }  # fmt: skip

    async def _list(self, account: str, request: Request, authorization: Annotated[str, Header()] = "") -> Response:
        if not self._known(account, authorization):
            return _refusal(20003, 401, "Authenticate")
        to = request.query_params.get("To")
        found = [self._show(m) for m in reversed(self.messages) if to in {None, m.to}]
        return JSONResponse({"messages": found[:50], "next_page_uri": None, "page": 0, "page_size": 50})

    async def _list_calls(
        self, account: str, request: Request, authorization: Annotated[str, Header()] = ""
    ) -> Response:  # fmt: skip
        if not self._known(account, authorization):
            return _refusal(20003, 401, "Authenticate")
        to = request.query_params.get("To")
        found = [self._show_call(c) for c in reversed(self.calls) if to in {None, c.to}]
        return JSONResponse({"calls": found[:50], "next_page_uri": None, "page": 0, "page_size": 50})

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, account: str, sid: str, authorization: Annotated[str, Header()] = "") -> Response:
        if not self._known(account, authorization):
            return _refusal(20003, 401, "Authenticate")
        for message in self.messages:
            if message.sid == sid:
                return JSONResponse(self._show(message))
        return _refusal(20404, 404, "not found")

    def _known(self, account: str, authorization: str) -> bool:
        wanted = "Basic " + base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        return account == self.account and hmac.compare_digest(wanted.encode(), authorization.encode())

    def _objection(self, to: str, body: str, sender: str) -> int:
        """The API's error code for a request that is wrong in itself, 0 if it is right."""
        if not to:
            return 21604
        if not (to.startswith("+") and to[1:].isdecimal() and 8 <= len(to) <= 16):
            return 21211
        if not body:
            return 21602
        if len(body) > 1600:
            return 21617
        if not sender:
            return 21603
        return 21610 if to in self.stopped else 0

    def _sid(self, kind: str = "SM") -> str:
        self._count += 1
        return f"{kind}{self._count:032x}"

    def _show_call(self, call: Call) -> dict[str, Any]:
        return {
            "sid": call.sid, "account_sid": self.account, "to": call.to, "from": call.sender, "status": call.status,
            "direction": "outbound-api", "api_version": "2010-04-01", "date_created": call.made,
            "date_updated": self.clock(), "price_unit": "USD", "subresource_uris": {},
            "uri": f"/2010-04-01/Accounts/{self.account}/Calls/{call.sid}.json",
        }  # fmt: skip

    def _show(self, message: Message) -> dict[str, Any]:
        service = message.sender.startswith("MG")
        return {
            "sid": message.sid, "account_sid": self.account, "to": message.to, "body": message.body,
            "from": None if service else message.sender,
            "messaging_service_sid": message.sender if service else None, "status": message.status,
            "direction": "outbound-api", "api_version": "2010-04-01", "num_segments": "1", "num_media": "0",
            "error_code": None, "error_message": None, "price": None, "price_unit": "USD",
            "date_created": message.made, "date_updated": self.clock(), "date_sent": None, "subresource_uris": {},
            "uri": f"/2010-04-01/Accounts/{self.account}/Messages/{message.sid}.json",
        }  # fmt: skip

    async def _report(self, message: Message, line: Line) -> None:
        for status in line.reports:
            await asyncio.sleep(line.delay)
            message.status = status
            form = {
                "MessageSid": message.sid, "SmsSid": message.sid, "AccountSid": self.account, "To": message.to,
                "From": message.sender, "MessageStatus": status, "SmsStatus": status, "ApiVersion": "2010-04-01",
            }  # fmt: skip
            if status in {"undelivered", "failed"}:
                form["ErrorCode"] = str(line.error)
            await self._post(message.callback, form)
            async with self.changed:
                self.changed.notify_all()

    async def _post(self, url: str, form: dict[str, str]) -> tuple[int, str]:
        """Posts a signed form: (status, body). A receiver that is down is noted in `unposted`; nothing is repeated."""
        signature = RequestValidator(self.token).compute_signature(url, form)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            self.unposted.append(form.get("MessageStatus", form.get("CallStatus", "received")))
            return 0, ""


def _refusal(code: int, http: int, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, "status": http}, status_code=http)


def _markup(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own service's answer, in tests and the demo only
