"""Alert lines out of a real ledger, while another connection to it is open, as with a running service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mimamori.cli import main
from mimamori.model.alert import AlertEvent
from mimamori.model.declared import Declaration
from mimamori.model.homes import Homes
from mimamori.model.readings import reading_batch
from mimamori.model.times import HOUR, MINUTE, NEVER, iso, parse_instant
from mimamori.site import load_site
from mimamori.store import extract
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger
from mimamori.stream.declared import read_absences
from mimamori.stream.recorded import RecordedFile

T0 = parse_instant("2026-11-24T02:40:00+09:00")
WANTED = {"id", "household", "rule", "category", "priority", "opened", "resolved", "why", "evidence"}


def local(at: int) -> str:
    return iso(at, "Asia/Tokyo")


def event(kind: str, household: str, at: int) -> AlertEvent:
    return AlertEvent(
        alert=f"{household}/inactivity/1", kind=kind, at=at, by="engine", reason="no sign of life",  # type: ignore[arg-type]
        household=household, rule="inactivity", since=at - MINUTE, title_ja="活動がありません", why_ja="05:10 から",
        evidence={"expected": 16.7},
    )  # fmt: skip


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A service's folder whose ledger is still open elsewhere, with three alerts, one of them over."""
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    events = [event("opened", "h2", T0), event("opened", "h1", T0 + HOUR), event("returned", "h2", T0 + 2 * HOUR),
              event("opened", "h3", T0 + 3 * HOUR)]  # fmt: skip
    await ledger.commit(events=events, notices=[], now=T0)
    yield tmp_path
    await ledger.close()


def export(data: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["export", "--alerts", str(data / "a.jsonl"), "--data", str(data), *more])
    return done.exit_code, done.output


def told(data: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (data / "a.jsonl").read_text(encoding="utf-8").splitlines()]


def test_all_alerts_by_opening_with_their_numbers_and_ends(data: Path) -> None:
    assert export(data)[0] == 0
    lines = told(data)
    assert [(x["household"], x["opened"], x["resolved"]) for x in lines] == [
        ("h2", local(T0), local(T0 + 2 * HOUR)), ("h1", local(T0 + HOUR), None), ("h3", local(T0 + 3 * HOUR), None),
    ]  # fmt: skip
    assert all(set(x) >= WANTED and x["evidence"] == {"expected": 16.7} for x in lines)


def test_times_of_opening_choose(data: Path) -> None:
    code, said = export(data, "--since", iso(T0 + HOUR), "--until", iso(T0 + 3 * HOUR))
    assert (code, [x["household"] for x in told(data)]) == (0, ["h1"])
    assert "1 alerts in" in said


def test_a_folder_without_a_ledger_is_named_with_its_mend(tmp_path: Path) -> None:
    code, said = export(tmp_path)
    assert (code, "holds no ledger; name the service's data folder with --data" in said) == (1, True)
    assert not (tmp_path / "a.jsonl").exists()


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[tuple[Path, dict[tuple[str, str, str, int], float]]]:
    """A service's folder whose store is open elsewhere: days that are over, hours, staged and newest rows."""
    homes, metrics, rng = Homes(), load_site(None).metrics, np.random.default_rng(3)
    for i in range(20):
        homes.add_device(f"h{i}", "bed")
        homes.add_device(f"h{i}", "meter")
    twin: dict[tuple[str, str, str, int], float] = {}
    store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=metrics, stage_at=500)
    for step in range(12):
        rows = []
        for _ in range(300):
            device, name = int(rng.integers(40)), ("heart_rate", "power")[rng.integers(2)]
            taken = T0 + step * 5 * HOUR - int(rng.integers(600)) * MINUTE
            rows.append((device // 2, device, metrics.index(name), float(rng.integers(40, 99)), taken, T0, 0))
            household = homes.ids[homes.device_home[device]]
            twin.setdefault((household, homes.device_ids[device], name, taken), rows[-1][3])
        await store.append(reading_batch(rows))
        if step == 9:
            await store.seal(days=False)
    yield tmp_path, twin
    await store.close()


@pytest.mark.parametrize("ending", ["parquet", "csv.gz"])
@pytest.mark.parametrize("chosen", [(), ("h3", "h11")])
@pytest.mark.parametrize("at_once", [10**6, 100])
def test_readings_of_a_running_store_come_out_as_a_reading_file(
    stored: tuple[Path, dict[tuple[str, str, str, int], float]],
    ending: str,
    chosen: tuple[str, ...],
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extract, "ROWS_AT_ONCE", at_once)
    data, twin = stored
    out = data / f"out.{ending}"
    begin, end = T0 + 3 * HOUR, T0 + 40 * HOUR
    words = [w for name in chosen for w in ("--household", name)]
    done = CliRunner().invoke(main, ["export", "--readings", str(out), "--data", str(data), "--from", local(begin),
                                     "--to", local(end), *words])  # fmt: skip
    assert done.exit_code == 0, done.output
    homes, metrics = Homes(), load_site(None).metrics
    file = RecordedFile(out, homes, metrics)
    told = {
        (homes.ids[b.home[i]], homes.device_ids[b.device[i]], metrics[int(b.metric[i])].name, int(b.taken[i])): float(
            b.value[i]
        )
        for b in file.batches()
        for i in range(len(b))
    }
    wanted = {key: v for key, v in twin.items() if begin <= key[3] < end and (not chosen or key[0] in chosen)}
    assert told == wanted
    assert file.set_aside == 0
    assert done.output.endswith(f"{len(wanted)} readings in {out}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--readings", "x.parquet"], "holds no readings; name the service's data folder with --data"),
        ([], "say what to export: --alerts FILE, --readings FILE, --absences FILE, or several"),
    ],
)
def test_what_cannot_be_exported_is_said(data: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["export", "--data", str(data), *words])
    assert done.exit_code != 0
    assert said in done.output


def test_a_household_that_is_not_stored_is_named(
    stored: tuple[Path, dict[tuple[str, str, str, int], float]],
) -> None:
    out = stored[0] / "o.parquet"
    done = CliRunner().invoke(main, ["export", "--readings", str(out), "--data", str(stored[0]), "--household", "h99"])
    assert done.exit_code == 1
    assert "no reading of household h99 is stored" in done.output
    assert not out.exists()


def test_what_was_said_of_absences_is_exported(tmp_path: Path) -> None:
    said = (
        Declaration(at=T0, household="H1", spans=((T0 + HOUR, NEVER),)),
        Declaration(at=T0 + 5 * HOUR, household="H1", spans=()),
    )

    async def commit() -> None:
        ledger = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
        await ledger.commit(events=[], notices=[], declared=said, now=T0)
        await ledger.close()

    asyncio.run(commit())
    out = tmp_path / "absences.csv"
    done = CliRunner().invoke(main, ["export", "--data", str(tmp_path), "--absences", str(out)])
    assert done.exit_code == 0, done.output
    assert "2 rows of absences" in done.output
    assert read_absences(out) == said
