"""Who gets in, what they may do, and what is written down about it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from mimamori.model.times import DAY, MINUTE
from mimamori.web.guard import MAY, Gate
from mimamori.web.sign_in import WebSettings, hash_password

PUBLIC = {"/login", "/api/v1/openapi.json", "/static"}
ALERT = "H001/inactivity/20261122T213605Z"


async def test_nothing_is_shown_before_sign_in(ward: Any) -> None:
    client = await ward.client()
    for path in ("/", "/alerts", f"/alerts/{ALERT}", "/households/H001", "/outbox", "/health", "/live/wall"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login"), path
    for path in ("status", "households", "alerts", "notices", "quarantine", "live"):
        assert (await client.get(f"/api/v1/{path}")).status_code == 401, path


async def test_every_route_has_a_gate(ward: Any) -> None:
    from mimamori.web import api, pages

    for route in [*api.router.routes, *pages.router.routes]:
        assert isinstance(route, APIRoute)
        gates = [d.call for d in route.dependant.dependencies if isinstance(d.call, Gate)]
        assert gates or route.path in PUBLIC, f"{route.path} has no gate"
        shows = {"households", "household", "alerts", "alert", "notices", "quarantine", "wall", "outbox", "live"}
        assert all(g.whose for g in gates if g.what in shows), f"{route.path} is not written to the access log"


async def test_sign_in_opens_the_wall_and_sign_out_closes_it(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    wall = await client.get("/")
    assert "佐藤 花子" in wall.text
    assert 'id="t-H001"' in wall.text
    cookie = client.cookies["mimamori"]
    assert (await client.post("/logout")).status_code == 303
    client.cookies.set("mimamori", cookie)
    assert (await client.get("/")).status_code == 303  # the server forgot it too


async def test_the_cookie_is_kept_from_scripts(ward: Any) -> None:
    client = await ward.client()
    form = await client.get("/login")
    csrf = form.text.split('name="csrf" value="')[1].split('"')[0]
    answer = await client.post("/login", data={"staff": "N-01", "password": "asagao-2026", "csrf": csrf})
    cookie = next(v for v in answer.headers.get_list("set-cookie") if v.startswith("mimamori="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize(("staff", "password"), [("N-01", "wrong"), ("nobody", "asagao-2026"), ("N-99", "asagao-2026")])
async def test_every_failure_says_the_same(ward: Any, staff: str, password: str) -> None:
    client = await ward.sign_in(staff, password)
    answer = await client.get("/login?wrong=wrong")
    assert "職員番号またはパスワードが違います" in answer.text
    assert (await client.get("/")).status_code == 303


async def test_guessing_is_braked_and_the_brake_lets_go(ward: Any) -> None:
    for _ in range(5):
        await ward.sign_in("N-01", "wrong")
    client = await ward.sign_in("N-01")
    assert (await client.get("/")).status_code == 303  # right, but too soon
    other = await ward.sign_in("N-02")
    assert (await other.get("/")).status_code == 200  # nobody else is shut out
    ward.clock += 6 * MINUTE
    client = await ward.sign_in("N-01")
    assert (await client.get("/")).status_code == 200


async def test_a_session_ends_with_the_shift(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    ward.clock += DAY
    assert (await client.get("/")).status_code == 303


async def test_a_form_without_its_token_is_refused(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    del client.headers["x-csrf-token"]
    for headers in ({}, {"x-csrf-token": "0" * 64}):
        answer = await client.post(f"/api/v1/alerts/{ALERT}/acknowledge", json={}, headers=headers)
        assert answer.status_code == 403
    assert (await client.post(f"/alerts/{ALERT}/acknowledge", data={"csrf": "x"})).status_code == 403
    assert (await client.post("/logout")).status_code == 403
    assert ward.seen == []


async def test_another_site_cannot_act_even_with_basic(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.client(auth=("N-01", "asagao-2026"))
    answer = await client.post(f"/api/v1/alerts/{ALERT}/acknowledge", json={}, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, ward.seen) == (403, [])


async def test_the_log_in_form_needs_its_own_cookie(ward: Any) -> None:
    client = await ward.client()
    answer = await client.post("/login", data={"staff": "N-01", "password": "asagao-2026", "csrf": "0" * 64})
    assert "wrong=expired" in answer.headers["location"]


async def test_sign_in_stays_on_this_site(ward: Any) -> None:
    client = await ward.client()
    for bad in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        form = await client.get("/login", params={"next": bad})
        assert 'name="next" value="/"' in form.text


async def test_roles(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    act, see = f"/api/v1/alerts/{ALERT}/acknowledge", "/api/v1/quarantine"
    expected = {"N-01": (200, 403), "N-02": (200, 403), "AD-1": (200, 200), "AU-1": (403, 200)}
    for staff, (acting, seeing) in expected.items():
        client = await ward.sign_in(staff)
        assert ((await client.post(act, json={})).status_code, (await client.get(see)).status_code) == (acting, seeing)
    assert set(MAY) == {"nurse", "on-call", "administrator", "auditor"}


async def test_every_view_is_written_down(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    paths = {
        "/": ("", "wall"), "/alerts": ("", "alerts"), f"/alerts/{ALERT}": ("H001", "alert"), "/outbox": ("", "outbox"),
        "/households/H001": ("H001", "household"), "/api/v1/households": ("", "households"),
        "/api/v1/households/H002": ("H002", "household"), "/api/v1/alerts": ("", "alerts"),
        f"/api/v1/alerts/{ALERT}": ("H001", "alert"), "/api/v1/notices": ("", "notices"),
    }  # fmt: skip
    for path, (whose, what) in paths.items():
        assert (await client.get(path)).status_code == 200, path
        line = (await ward.ledger.accesses(limit=1))[0]
        assert (line.who, line.whose, line.what, line.at, line.where) == ("N-01", whose, what, ward.clock, "127.0.0.1")
    answer = await client.post(f"/api/v1/alerts/{ALERT}/note", json={"text": "訪問"})
    assert answer.status_code == 200
    line = (await ward.ledger.accesses(limit=1))[0]
    assert (line.whose, line.what) == ("H001", "note")


async def test_programs_sign_in_with_every_request(ward: Any) -> None:
    client = await ward.client(auth=("AD-1", "asagao-2026"))
    assert (await client.get("/api/v1/status")).status_code == 200
    assert (await client.get("/api/v1/status")).status_code == 200
    wrong = await ward.client(auth=("AD-1", "wrong"))
    answer: httpx.Response = await wrong.get("/api/v1/status")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    for header in ("Basic ???", "Bearer x", "Basic bm9jb2xvbg=="):
        assert (await (await ward.client(headers={"authorization": header})).get("/api/v1/status")).status_code == 401


async def test_answers_say_what_a_browser_may_do(ward: Any) -> None:
    client = await ward.client()
    headers = (await client.get("/login")).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_weak_passwords_and_secrets_are_refused() -> None:
    for weak in ("short1", "onlyletters", "1234567890"):
        with pytest.raises(ValueError, match="8 characters"):
            hash_password(weak)
    with pytest.raises(ValueError, match="32 random bytes"):
        WebSettings(secret=b"short")
