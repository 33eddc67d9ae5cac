"""The content as staff meet it: every mistake told at once with file, key and mend; where it is found; its digest."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from mimamori.check import check_examples
from mimamori.model.content import ContentError
from mimamori.site import FOLDERS, Site, SiteError, copy_content, find_content, load_site

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A site of one's own, as `mimamori init` makes it."""
    folder = tmp_path / "site"
    copy_content(folder)
    return folder


def change(site: Path, file: str, old: str, new: str) -> None:
    path = site / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{old} is not in {file}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def only(site: Site, *rules: str) -> Site:
    """The site with these rules alone: the examples of all of them take a while, and one test runs them."""
    return replace(site, rules=tuple(rule for rule in site.rules if rule.name in rules))


def mistakes_of(site: Path) -> list[ContentError]:
    with pytest.raises(SiteError) as caught:
        load_site(site)
    assert caught.value.folder == site
    return caught.value.errors


PLANTED: tuple[tuple[str, str, str, str, str], ...] = (
    # file, what is there, what somebody writes, the key that must be told, a word of the mend
    ("sensors/bed-sensor.toml", 'period = "10s"', 'perod = "10s"', "perod", "period"),
    ("sensors/door-sensor.toml", 'silent_after = "2h"', 'silent_after = "2 hours"', "silent_after", ""),
    ("sensors/power-meter.toml", 'unit = "W"', 'unit = "kW"', "metrics.power.unit", "scale"),
    ("sensors/room-climate.toml", "low = -20", "low = 60", "metrics.temperature.low", "exchange"),
    ("rules/bed-exit.toml", 'priority = "medium"', 'priority = "urgent"', "priority", ""),
    ("rules/device-silent.toml", 'at_most = "26h"', 'at_mots = "26h"', "condition.at_mots", "at_most"),
    ("rules/heart-rate.toml", 'metric = "heart_rate"', 'metric = "hart_rate"', "condition.metric", "README"),
    ("rules/respiration-rate.toml", 'hold = "5m"', 'hold = "50m"', "condition", "out_of"),
    ("alerts/limits.toml", 'keep_closed = "24h"', 'keep_closed = "-1h"', "keep_closed", ""),
    ("alerts/policy-high.toml", 'by = ["console", "sms"]', 'by = ["console", "fax"]', "step.0.by", ""),
    ("alerts/policy-medium.toml", 'acknowledged_for = "1h"', 'acknowledged_for = "1s"', "acknowledged_for", "1m"),
    ("alerts/roster.toml", 'between = "08:30-16:30"', 'between = "8:30"', "shift.day.between", "16:30"),
    ("alerts/texts.toml", "{place}", "{name}", "sms.first", ""),
    ("simulator/persona-frail.toml", "weight = 2", 'weight = "much"', "weight", ""),
    ("simulator/home-kotatsu.toml", "heated_to = 15", "heatd_to = 15", "heatd_to", "heated_to"),
    ("simulator/sensors-full.toml", "[climate]", "[climat]", "climat", "climate"),
)


def test_every_mistake_in_all_four_folders_is_told_at_once(copy: Path) -> None:
    for file, old, new, _, _ in PLANTED:
        change(copy, file, old, new)
    (copy / "rules" / "inactivity.toml").write_bytes(b'priority = "high\n')
    (copy / "sensors" / "button.toml").write_bytes(b'title = "\xff\xfe"\n')
    (copy / "alerts" / "policies.toml").write_text("")
    told = mistakes_of(copy)
    for file, _, _, key, mend in PLANTED:
        here = [e for e in told if e.file == file]
        found = [e for e in here if e.key == key or e.key.startswith(key)]
        assert found, f"{file}: nothing told of {key}, only of {[e.key for e in here]}"
        assert any(mend in e.mend for e in found), [str(e) for e in found]
    whole = {e.file: e for e in told if e.key == ""}
    assert "TOML" in whole["rules/inactivity.toml"].mend
    assert "line 1" in whole["rules/inactivity.toml"].reason
    assert "UTF-8" in whole["sensors/button.toml"].mend
    assert "alerts/policies.toml" in whole
    changed = {file for file, *_ in PLANTED} | {"rules/inactivity.toml", "sensors/button.toml", "alerts/policies.toml"}
    assert {e.file for e in told} == changed, "and nothing is told of a file that is right"
    for error in told:
        assert error.reason
        assert error.mend, str(error)
        assert str(error).startswith(error.file)


@pytest.mark.parametrize("planted", PLANTED, ids=[p[0] for p in PLANTED])
def test_one_mistake_alone_touches_no_other_file(copy: Path, planted: tuple[str, str, str, str, str]) -> None:
    file, old, new, key, _ = planted
    change(copy, file, old, new)
    told = mistakes_of(copy)
    assert {e.file for e in told} == {file}
    assert any(e.key.startswith(key) for e in told), [str(e) for e in told]


def test_a_role_that_the_roster_lacks_is_told_with_those_it_has(copy: Path) -> None:
    change(copy, "alerts/policy-high.toml", 'tell = ["on-call"]', 'tell = ["matron"]')
    (told,) = mistakes_of(copy)
    assert (told.file, told.key) == ("alerts/policy-high.toml", "step.0.tell")
    assert told.mend == "known: lead, on-call, second"


def test_an_emptied_folder_is_a_mistake(copy: Path) -> None:
    for path in (copy / "alerts").glob("*.toml"):
        path.unlink()
    assert {e.file for e in mistakes_of(copy)} >= {"alerts/limits.toml", "alerts/texts.toml", "alerts/roster.toml"}


def test_the_content_is_looked_for_in_this_order(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    copy_content(other)
    monkeypatch.setenv("MIMAMORI_SITE", str(other))
    assert find_content(copy) == (copy, "--site")
    assert find_content(None) == (other, "MIMAMORI_SITE")
    assert load_site(None).folder == other
    monkeypatch.delenv("MIMAMORI_SITE")
    assert find_content(None) == (CHECKOUT, "checkout")
    assert load_site(None).found_by == "checkout"


def test_a_folder_that_is_no_site_is_told_with_what_it_lacks(copy: Path) -> None:
    shutil.rmtree(copy / "rules")
    shutil.rmtree(copy / "simulator")
    with pytest.raises(FileNotFoundError, match=r"rules, simulator; .*mimamori init"):
        load_site(copy)


def test_a_copy_overwrites_nothing(copy: Path) -> None:
    mine = copy / "rules" / "heart-rate.toml"
    mine.write_text("# mine\n")
    for folder in ("sensors", "alerts", "simulator"):
        shutil.rmtree(copy / folder)
    with pytest.raises(FileExistsError, match="rules"):
        copy_content(copy)
    assert mine.read_text() == "# mine\n"
    assert not (copy / "sensors").exists(), "all or nothing"


def test_a_copy_is_the_same_content(copy: Path) -> None:
    for folder in FOLDERS:
        shipped = {p.name: p.read_bytes() for p in (CHECKOUT / folder).iterdir() if p.is_file()}
        assert {p.name: p.read_bytes() for p in (copy / folder).iterdir()} == shipped
    assert load_site(copy).digest == load_site(CHECKOUT).digest


@pytest.mark.parametrize("folder", FOLDERS)
def test_one_byte_more_is_another_digest(copy: Path, folder: str) -> None:
    before = load_site(copy).digest
    path = min((copy / folder).glob("*.toml"))
    path.write_bytes(path.read_bytes() + b"\n")
    after = load_site(copy).digest
    assert after != before
    path.write_bytes(path.read_bytes()[:-1])
    assert load_site(copy).digest == before


def test_a_renamed_file_is_another_digest(copy: Path) -> None:
    before = load_site(copy).digest
    (copy / "simulator" / "persona-frail.toml").rename(copy / "simulator" / "persona-weak.toml")
    assert load_site(copy).digest != before


def test_every_shipped_example_comes_out_as_written() -> None:
    site = load_site(CHECKOUT)
    count, errors = check_examples(site)
    assert errors == []
    assert count == sum(len(rule.example) for rule in site.rules)
    assert {rule.name for rule in site.rules if rule.example} == {p.stem for p in (CHECKOUT / "rules").glob("*.toml")}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"02:30 firing"', '"02:23 firing"', "at 02:23 expected firing, got pending"),
        ('"02:30 firing"', '"02:30 firing", "2:31 alarm firing"', '"2:31 alarm firing" is not understood'),
        ("every 10s bed in_bed 1", "each 10s bed in_bed 1", "is not understood"),
        ("bed in_bed 1", "bed in_bett 1", "no metric is called in_bett"),
        ("bed in_bed 1", "bed in_bed yes", "yes"),
        ("every 10s bed in_bed 1", "every 0s bed in_bed 1", "0s"),
        ("every 10s bed in_bed 1", "every ten bed in_bed 1", "ten"),
        ("02:00-02:40 every 10s bed in_bed 1", "99:99 bed in_bed 1", "99:99"),
        ("bed heart_rate 66", "bed heart_rate nan", "nan"),
    ],
)
def test_a_broken_example_is_told_with_file_and_key(copy: Path, old: str, new: str, said: str) -> None:
    change(copy, "rules/heart-rate.toml", old, new)
    _, errors = check_examples(only(load_site(copy), "heart-rate"))
    assert [(e.file, e.key) for e in errors] == [("rules/heart-rate.toml", "example.0")]
    assert '"fast for ten minutes"' in errors[0].reason
    assert said in errors[0].reason, errors[0].reason
    assert errors[0].mend


def test_the_examples_of_one_rule_do_not_hide_those_of_another(copy: Path) -> None:
    change(copy, "rules/heart-rate.toml", '"02:30 firing"', '"02:30 clear"')
    change(copy, "rules/device-silent.toml", '"03:45 firing"', '"03:45 firing", "03:50 clear"')
    # each file still has an example that fires and one that does not, as far as reading goes
    table = tomllib.loads((copy / "rules/device-silent.toml").read_text())
    assert table["example"][0]["expect"][-1] == "03:50 clear"
    change(copy, "rules/heart-rate.toml", '"02:35 unknown"', '"02:35 firing"')
    _, errors = check_examples(only(load_site(copy), "device-silent", "heart-rate", "respiration-rate"))
    assert [(e.file, e.key) for e in errors] == [
        ("rules/device-silent.toml", "example.0"),
        ("rules/heart-rate.toml", "example.0"),
        ("rules/heart-rate.toml", "example.1"),
    ]
