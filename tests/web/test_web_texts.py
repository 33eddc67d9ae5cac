"""One catalogue: nothing missing, nothing unused, nothing written past it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from mimamori.alerts.hindsight import Truth
from mimamori.alerts.proof import Proof
from mimamori.model.alert import Category, EventKind, Outcome, Priority
from mimamori.model.notice import Channel, NoticeKind, Status
from mimamori.model.readings import RejectReason
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant
from mimamori.notify.callback import read_call
from mimamori.notify.codes import CODES, judge
from mimamori.rules import absent, away, band, climate, cooling, count, evidence, silent, stay
from mimamori.store.records import Role, TrialStatus
from mimamori.web.desk import Cause, Doing, TileState
from mimamori.web.entries import AbsenceKind, Relation
from mimamori.web.reasons import length, retold, short
from mimamori.web.words import LANGS, ago, catalogue, clock, number, span

WEB = files("mimamori.web")
SOURCE = Path(__file__).parents[2] / "src/mimamori"
# Read at import, before there are threads: CPython 3.11 confuses a parse with one that interrupts it (its gh-106905).
TREES = {p: ast.parse(p.read_text("utf-8")) for f in ("alerts", "notify") for p in sorted((SOURCE / f).glob("*.py"))}
TEMPLATES = sorted((p.name, p.read_text("utf-8")) for p in WEB.joinpath("templates").iterdir())
CODE = [
    p.read_text("utf-8") for f in (WEB, WEB.joinpath("static")) for p in f.iterdir() if p.name.endswith((".py", ".js"))
]
PARTS = {
    "state": TileState, "doing": Doing, "doing-short": Doing, "priority": Priority, "outcome": Outcome,
    "event": EventKind, "channel": Channel, "status": Status, "kind": NoticeKind, "role": Role, "category": Category,
    "reject": RejectReason, "absence": AbsenceKind, "relation": Relation, "gap": Cause,
    "trial-status": TrialStatus, "truth": Truth,
}  # fmt: skip
NAMED_ELSEWHERE = {
    "evidence",
    "count",
    "by",
    "unit",
    "text",
    "parameter",
    "reason",
    "twilio",
    "seen",
    "entered",
}  # names come from elsewhere


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_both_languages_with_the_same_places(key: str) -> None:
    text = catalogue()[key]
    assert set(text) == set(LANGS)
    assert key == "unit.one" or all(text.values())
    assert len({frozenset(re.findall(r"\{(\w+)\}", t)) for t in text.values()}) == 1


def test_every_word_of_the_model_has_a_text() -> None:
    missing = [
        f"{part}.{w}" for part, kind in PARTS.items() for w in get_args(kind) if f"{part}.{w}" not in catalogue()
    ]
    assert missing == []


def test_every_number_a_rule_gives_has_a_text() -> None:
    kinds = (absent, away, band, climate, cooling, count, evidence, silent, stay)
    names = {"score", *(name for kind in kinds for name in kind.FACTS)}
    assert {f"evidence.{name}" for name in names} - set(catalogue()) == set()


def test_every_link_of_the_proof_has_a_text() -> None:
    links = {f.name for f in fields(Proof) if f.type == "int"}
    assert {k.removeprefix("proof.") for k in catalogue() if k.startswith("proof.")} >= links


@cache
def used() -> set[str]:
    keys: set[str] = set()
    for text in [t for _, t in TEMPLATES] + CODE:
        keys |= {k for k in re.findall(r"[\"'`]([a-z-]+\.[a-z-]+)[\"'`]", text) if k.split(".")[0] in parts()}
    return keys


def parts() -> set[str]:
    return {key.split(".")[0] for key in catalogue()}


def test_every_key_in_use_exists() -> None:
    files_ = {k for k in used() if k.split(".")[1] in {"html", "js", "css", "toml", "svg"}}
    assert used() - files_ - set(catalogue()) == set()


def test_no_text_is_left_over() -> None:
    built = set(PARTS) | NAMED_ELSEWHERE | {"site", "act", "proof", "chart"}
    left = {k for k in catalogue() if k not in used() and k.split(".")[0] not in built}
    assert left == set()


@pytest.mark.parametrize(("name", "text"), TEMPLATES, ids=[n for n, _ in TEMPLATES])
def test_no_template_holds_words_of_its_own(name: str, text: str) -> None:
    text = re.sub(r"\{% block kind %\}.*?\{% endblock %\}", "", text)  # a class of the style sheet
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", text, flags=re.DOTALL)
    said = re.findall(r"(?:aria-label|placeholder|title|alt)=\"([^\"]*)\"", bare)
    nodes = re.sub(r"<[^>]*>", "\n", bare)
    assert [s for s in [*said, *nodes.split("\n")] if re.search(r"[^\W\d_]", s)] == []


def test_spans_and_times_in_words() -> None:
    assert [span("ja", s) for s in (0, 42 * SECOND, 5 * MINUTE, 95 * MINUTE, 3 * DAY + HOUR)] == [
        "0秒", "42秒", "5分", "1時間35分", "3日",
    ]  # fmt: skip
    assert ago("en", 0, 2 * MINUTE) == "2 min ago"
    assert ago("ja", NEVER, 1) == "—"
    at = parse_instant("2026-11-23T06:40:05+09:00")
    assert clock("ja", at, "Asia/Tokyo", at + HOUR) == "06:40"
    assert clock("ja", at, "Asia/Tokyo", at + DAY) == "11/23(月) 06:40"
    assert [number(v) for v in (16.7, 0.0, 123.4, float("nan"), "05:10")] == ["16.7", "0", "123", "—", "05:10"]


def noted(folder: str, skip: set[str]) -> Iterator[tuple[str, str]]:
    """Every sentence that code of a folder notes as a reason or a detail, with 3m where something is filled in."""
    for path in (p for p in TREES if p.parent.name == folder and p.name not in skip):
        for node in ast.walk(TREES[path]):
            named = isinstance(node, ast.keyword) and node.arg in {"reason", "detail"}
            kept = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason"
            if isinstance(node, ast.keyword | ast.Assign) and (named or kept):
                value = node.value
                for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                    yield from ((path.name, text) for text in sentence(part))


def sentence(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and value.value:
        yield str(value.value)
    elif isinstance(value, ast.JoinedStr) and isinstance(value.values[0], ast.Constant):
        yield "".join(str(v.value) if isinstance(v, ast.Constant) else "3m" for v in value.values)


def test_what_engine_policy_and_senders_note_is_told_in_japanese() -> None:
    content = {"policy.py", "roster.py", "text.py", "hooks.py", "drill.py", "webhook.py", "callback.py"}
    found = [*noted("alerts", content), *noted("notify", content)]
    assert len(found) > 30
    assert [(place, text) for place, text in found if retold("ja", text) == text] == []
    assert (
        retold("ja", "escalated: no acknowledgement after 1h30m") == "次の担当へ：1時間30分たっても対応する人がいない"
    )
    assert retold("en", "the rule fired") == "the rule fired"
    assert retold("ja", "膝が痛むとのこと") == "膝が痛むとのこと"


@pytest.mark.parametrize("status", ["queued", "completed", "busy", "no-answer", "failed", "canceled"])
def test_what_became_of_a_call_is_told_in_japanese(status: str) -> None:
    report = read_call({"CallStatus": status, "CallSid": "CA1"})
    assert report is not None
    assert retold("ja", report.detail) != report.detail


def test_a_resident_who_did_not_answer_is_told_in_japanese_to_the_last_word() -> None:
    told = retold("ja", "asked: asked again: the resident did not answer: nobody answered")
    assert told == "ご本人に確認：もう一度確認する：ご本人の応答がない：誰も電話に出なかった"


@pytest.mark.parametrize("code", [*CODES, 0, 99_999])
def test_why_a_message_did_not_arrive_is_told_in_japanese(code: int) -> None:
    for http in (0, 404):
        _, reason = judge(code, http)
        told = retold("ja", reason)
        assert told != reason
        assert f"Twilio {code}" in told


def test_every_count_of_the_loop_has_a_text() -> None:
    code = "".join(p.read_text("utf-8") for p in (SOURCE / "service").glob("*.py"))
    names = set(re.findall(r'counts\["(\w+)"\]', code))
    assert len(names) > 8
    assert {f"count.{name}" for name in names} - set(catalogue()) == set()


@pytest.mark.parametrize(("file", "ja"), [("1d20h", "1日20時間"), ("90s", "90秒"), ("2h", "2時間"), ("40", "40")])
def test_lengths_of_time_go_there_and_back(file: str, ja: str) -> None:
    assert (length(file), short(ja)) == (ja, file)
    assert short("１時間 ３０分") == "1h30m"
