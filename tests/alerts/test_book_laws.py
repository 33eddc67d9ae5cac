"""Laws of the alert book, on random stories: state is the fold of events, restore continues, silence ends nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.alerts.book import Book
from mimamori.alerts.fold import fold_all
from mimamori.alerts.group import History
from mimamori.alerts.plan import plan
from mimamori.model.commands import Command, CommandError
from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import MINUTE

HOMES = ("A-12", "B-01", "C-7")
MOVES = st.lists(
    st.one_of(
        st.tuples(
            st.just("find"), st.sampled_from(HOMES), st.sampled_from(("inactivity", "fall", "device-silent")),
            st.sampled_from(list(Verdict)), st.sampled_from([Level.LOW, Level.MEDIUM, Level.HIGH]),
        ),
        st.tuples(st.just("wait"), st.integers(0, 90)),
        st.tuples(
            st.just("do"), st.sampled_from(("acknowledge", "release", "note", "resolve", "reopen", "shelve")),
            st.integers(0, 5), st.sampled_from(("N-01", "N-02")),
        ),
    ),
    max_size=40,
)  # fmt: skip
LAWS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def play(ward: Any, moves: list[Any]) -> None:
    """Plays the moves; every move also lets a minute pass."""
    for move in moves:
        ward.now += MINUTE
        if move[0] == "find":
            _, home, rule, verdict, level = move
            ward.step(ward.batch((home, rule, verdict, level if verdict is Verdict.FIRING else Level.NONE)))
        elif move[0] == "wait":
            ward.wait(move[1] * MINUTE)
        else:
            _, action, which, by = move
            alerts = ward.book.alerts()
            if not alerts:
                continue
            command = Command(
                action=action, alert=alerts[which % len(alerts)].id, by=by, text="seen", outcome="no-action"
            )
            try:
                ward._took(ward.book.command(command, ward.now))
            except CommandError:
                continue
            ward.step()


@LAWS
@given(moves=MOVES)
def test_state_is_the_fold_of_the_events(new_ward: Any, moves: list[Any]) -> None:
    ward = new_ward(*HOMES)
    play(ward, moves)
    folded = ward.folded()
    for alert in ward.book.alerts():
        assert alert == folded[alert.id]
    forgotten = set(folded) - {a.id for a in ward.book.alerts()}
    assert all(folded[k].state == "resolved" for k in forgotten)


@LAWS
@given(before=MOVES, after=MOVES)
def test_a_restored_book_continues_identically(new_ward: Any, before: list[Any], after: list[Any]) -> None:
    one, two = new_ward(*HOMES), new_ward(*HOMES)
    play(one, before)
    two.now, two.log, two.history = one.now, list(one.log), one.history
    two.book.restore(one.log)
    plans = len(one.plans)
    play(one, after)
    play(two, after)
    assert one.log == two.log
    assert [p.notices for p in one.plans[plans:]] == [p.notices for p in two.plans]


@LAWS
@given(moves=MOVES)
def test_keys_of_notices_are_unique_and_every_alert_has_at_most_one_open_twin(new_ward: Any, moves: list[Any]) -> None:
    ward = new_ward(*HOMES)
    play(ward, moves)
    keys = [n.key for n in ward.notices]
    assert len(keys) == len(set(keys))
    live = [(a.household, a.rule, a.device) for a in ward.book.alerts() if a.state != "resolved"]
    assert len(live) == len(set(live))


@LAWS
@given(moves=MOVES)
def test_nothing_but_a_clear_or_a_person_ends_an_alert(new_ward: Any, moves: list[Any]) -> None:
    silent = [m for m in moves if m[0] != "do" and not (m[0] == "find" and m[3] is Verdict.CLEAR)]
    ward = new_ward(*HOMES)
    play(ward, silent)
    assert {a.state for a in ward.book.alerts()} <= {"open"}
    assert not [e for e in ward.log if e.kind in {"returned", "resolved"}]


@LAWS
@given(moves=MOVES, order=st.permutations(HOMES))
def test_ids_and_events_do_not_depend_on_the_order_of_households(
    new_ward: Any, moves: list[Any], order: list[str]
) -> None:
    one, two = new_ward(*HOMES), new_ward(*order)
    play(one, moves)
    play(two, moves)
    assert one.log == two.log


@LAWS
@given(moves=MOVES)
def test_an_open_high_alert_is_never_without_a_next_call(new_ward: Any, moves: list[Any]) -> None:
    ward = new_ward(*HOMES)
    play(ward, moves)
    waiting = [
        a.id for a in ward.book.alerts()
        if a.priority == "high" and a.state == "open" and a.returned_at < 0 and a.shelved_until < 0
    ]  # fmt: skip
    events = ward.wait(45 * MINUTE)
    assert set(waiting) <= {e.alert for e in events if e.kind == "escalated"}


def test_an_empty_batch_and_a_quiet_time_cause_nothing(ward: Any, content: Any) -> None:
    assert ward.wait(MINUTE) == []
    assert Book(ward.book.rules, content).apply(ward.batch(), Homes(), ward.now) == []
    assert plan([], ward.book, {}, History(), ward.now).notices == ()
    assert fold_all([]) == {}


def test_a_batch_is_not_written_to(ward: Any) -> None:
    batch = ward.batch(("A-12", "inactivity", Verdict.FIRING, Level.HIGH))
    before = {
        name: getattr(batch, name).copy() for name in ("home", "rule", "verdict", "level", "since", "at", "facts")
    }
    ward.step(batch)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(batch, name), column)
