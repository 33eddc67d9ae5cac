"""A stand-in for Twilio: a real HTTP server that speaks its message API, for the demo and for tests.

May import nothing of mimamori but the codes. Sends no SMS: keeps what it was given, reports delivery by signed
callbacks, and can be told to fail, to stay silent, to report twice or in the wrong order.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How one number behaves.

    refuse: error code of the request itself, 0 to take it. http: status code of that refusal. silent: never answers.
    reports: statuses reported after taking it, in this order, doubled or wrong as wished. error: code sent along with
    "undelivered" and "failed". delay: seconds before each report.
    """

    refuse: int = 0
    http: int = 400
    silent: bool = False
    reports: tuple[str, ...] = ("sent", "delivered")
    error: int = 30008
    delay: float = 0.0


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
        self.app.get("/2010-04-01/Accounts/{account}/Messages/{sid}.json")(self._fetch)

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
        return await self._post(self.reply_url, form)

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
            status="accepted" if service else "queued",
        )  # fmt: skip
        async with self.changed:
            self.messages.append(message)
            self.changed.notify_all()
        answer = JSONResponse(self._show(message), status_code=201)
        if callback:
            task = asyncio.create_task(self._report(message, line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return answer

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

    def _sid(self) -> str:
        self._count += 1
        return f"SM{self._count:032x}"

    def _show(self, message: Message) -> dict[str, Any]:
        service = message.sender.startswith("MG")
        return {
            "sid": message.sid, "account_sid": self.account, "to": message.to, "body": message.body,
            "from": None if service else message.sender,
            "messaging_service_sid": message.sender if service else None, "status": message.status,
            "direction": "outbound-api", "api_version": "2010-04-01", "num_segments": "1", "num_media": "0",
            "error_code": None, "error_message": None, "price": None, "price_unit": "USD",
            "date_created": self.clock(), "date_updated": self.clock(), "date_sent": None, "subresource_uris": {},
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

    async def _post(self, url: str, form: dict[str, str]) -> int:
        """Posts a signed form. A receiver that is down is noted in `unposted`; reports are not repeated."""
        signature = RequestValidator(self.token).compute_signature(url, form)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            self.unposted.append(form.get("MessageStatus", "received"))
            return 0


def _refusal(code: int, http: int, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, "status": http}, status_code=http)
