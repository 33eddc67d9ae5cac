"""The command line from outside: help, exit status, where errors are told, and the commands that work on files."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mimamori.cli import main

COMMANDS = ("demo", "run", "init", "check", "simulate", "replay", "evaluate", "export", "roster", "backup", "restore",
            "load", "bench", "user", "resident", "device", "conform", "import", "rehearse", "scoreboard")  # fmt: skip
CHECKOUT = Path(__file__).parents[2]
LINE = {"id", "household", "rule", "category", "priority", "opened", "resolved", "why", "evidence"}
HEADER = "time,household,device,metric,value\n"


@dataclass(frozen=True)
class Done:
    """What a command said and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def mimamori(*arguments: object, cwd: Path | None = None, **env: str) -> Done:
    """The command as the entry point runs it, without the second that a new process takes to import everything."""
    own = dict.fromkeys(k for k in os.environ if k.startswith("MIMAMORI_")) | env
    with chdir(cwd or Path.cwd()):
        ended = CliRunner().invoke(main, list(map(str, arguments)), env=own, prog_name="mimamori")
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return Done(ended.exit_code, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def made_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "ward"
    done = mimamori("init", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made ") == 4
    return folder


@pytest.fixture
def site(made_site: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made_site, tmp_path / "site")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(readings, truth) of two households for two days."""
    folder = tmp_path_factory.mktemp("recorded")
    out, truth = folder / "readings.csv.gz", folder / "truth.csv"
    done = mimamori("simulate", "--households", 2, "--days", 2, "--bed-every", "5m", "--seed", 3, "--out", out,
                    "--truth", truth)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"readings in {out}" in done.stdout
    return out, truth


def test_help_names_every_command() -> None:
    done = mimamori("--help")
    assert done.returncode == 0
    assert "安否確認" in done.stdout
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_help_loads_none_of_the_commands() -> None:
    """What imports the engine takes seconds; a maintainer who only looks for a word should not wait for it."""
    look = "import sys; from mimamori.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "mimamori.cli" in loaded
    assert not loaded & {"numpy", "numba", "fastapi", "sqlalchemy", "mimamori.app"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = mimamori(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: mimamori {command}" in done.stdout


def test_version_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mimamori.cli", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("mimamori, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch",), ("demo", "--households", "none"), ("demo", "--speed", "0"), ("init",), ("check", "extra"),
        ("replay", "no-such-file.csv", "--alerts", "out.jsonl"), ("simulate",),
        ("simulate", "--out", "a.csv", "--broker", "mqtt://127.0.0.1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_understood_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = mimamori(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("run",), {}, "MIMAMORI_BROKER is not set"),
        (("run",), {"MIMAMORI_BROKER": "mqtt://127.0.0.1", "MIMAMORI_PORT": "http"}, "MIMAMORI_PORT"),
        (("check", "--site", "nowhere"), {}, "mimamori init"),
        (("check",), {"MIMAMORI_SITE": "nowhere"}, "mimamori init"),
        (("simulate", "--out", "a.csv", "--start", "2026-01-01"), {}, "offset"),
        (("simulate", "--out", "a.csv", "--bed-every", "often"), {}, "often"),
        (("simulate", "--out", "a.txt"), {}, ".csv"),
        (("simulate", "--broker", "http://127.0.0.1"), {}, "mqtt://"),
    ],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, tuple) else "",
)
def test_what_is_wrong_ends_with_1_and_one_line(
    arguments: tuple[str, ...], env: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = mimamori(*arguments, cwd=tmp_path, **env)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_made_site_has_no_mistakes(made_site: Path) -> None:
    done = mimamori("check", "--site", made_site)
    assert done.returncode == 0, done.stderr
    assert "no mistakes" in done.stdout
    assert f"content: {made_site} (found by: --site)" in done.stderr
    again = mimamori("init", made_site)
    assert again.returncode == 1
    assert "already holds" in again.stderr


def test_check_tells_all_mistakes_on_standard_error(site: Path) -> None:
    rule = site / "rules" / "heart-rate.toml"
    rule.write_text(rule.read_text().replace('hold = "5m"', 'hold = "5 min"'))
    policy = site / "alerts" / "policy-high.toml"
    policy.write_text(policy.read_text().replace("then_every", "then_evry"))
    (site / "sensors" / "button.toml").write_text("period = \n")
    (site / "simulator" / "persona-frail.toml").write_text("")
    done = mimamori("check", "--site", site)
    assert done.returncode == 1
    assert done.stdout == ""
    for file in ("rules/heart-rate.toml", "alerts/policy-high.toml", "sensors/button.toml",
                 "simulator/persona-frail.toml"):  # fmt: skip
        assert f"\n{file}" in "\n" + done.stderr
    assert "did you mean then_every?" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_tells_an_example_that_fails(site: Path) -> None:
    rule = site / "rules" / "heart-rate.toml"
    rule.write_text(rule.read_text().replace('"02:30 firing"', '"02:22 firing"'))
    for other in rule.parent.glob("*.toml"):
        if other != rule:
            other.unlink()  # the examples of all rules take a while, and tests/site runs them
    done = mimamori("check", "--site", site)
    assert done.returncode == 1
    assert "rules/heart-rate.toml: example.0" in done.stderr
    assert "at 02:22 expected firing, got pending" in done.stderr


def test_demo_and_run_start_nothing_on_broken_content(site: Path, tmp_path: Path) -> None:
    (site / "alerts" / "limits.toml").unlink()
    for command, env in (("demo", {}), ("run", {"MIMAMORI_BROKER": "mqtt://127.0.0.1"})):
        done = mimamori(command, "--site", site, "--data", tmp_path / "data", **env)
        assert done.returncode == 1
        assert "alerts/limits.toml" in done.stderr
        assert "nothing was done" in done.stderr
    assert not (tmp_path / "data").exists()


def test_absences_that_are_declared_reach_a_replay_and_a_score(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    readings, truth = recorded
    away, none, out = (tmp_path / name for name in ("away.csv", "none.csv", "alerts.jsonl"))
    done = mimamori("simulate", "--households", 2, "--days", 2, "--bed-every", "5m", "--seed", 3, "--out",
                    tmp_path / "r.parquet", "--truth", tmp_path / "t.csv", "--absences", none)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert none.read_text().startswith("household,start,end,said\n")
    with gzip.open(readings, "rt") as file:
        household = file.readlines()[1].split(",")[1]
    away.write_text(f"household,start,end\n{household},2026-01-01T02:00:00+09:00,2026-01-09T00:00:00+09:00\n")
    done = mimamori("replay", readings, "--absences", away, "--alerts", out)
    assert done.returncode == 0, done.stderr
    assert "unexpected-presence" in {json.loads(line)["rule"] for line in out.read_text().splitlines()}
    done = mimamori("evaluate", readings, "--truth", truth, "--absences", away, "--json", "--learn-days", 0)
    assert done.returncode == 0, done.stderr
    assert "unexpected-presence" in {rule["rule"] for rule in json.loads(done.stdout)["rules"]}
    assert mimamori("simulate", "--out", tmp_path / "a.csv", "--absences", none).returncode == 2


def test_simulate_is_the_same_for_the_same_seed(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    def made(seed: int) -> bytes:
        out = tmp_path / f"{seed}.csv"
        done = mimamori("simulate", "--households", 1, "--days", 1, "--seed", seed, "--out", out)
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    one = made(7)
    assert one.startswith(HEADER.encode())
    assert made(7) == one
    assert made(8) != one
    with recorded[1].open(newline="") as file:
        assert next(csv.reader(file)) == ["household", "kind", "start", "end"]


def alert_lines(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        assert line.keys() >= LINE
        assert line["priority"] in {"high", "medium", "low"}
        assert line["category"] in {"resident", "environment", "technical"}
        assert (CHECKOUT / "rules" / f"{line['rule']}.toml").exists()
        opened = datetime.fromisoformat(line["opened"])
        assert opened.tzinfo
        if line["resolved"] is not None:
            assert datetime.fromisoformat(line["resolved"]) >= opened
        assert line["why"]
        assert line["evidence"]
    assert len({line["id"] for line in lines}) == len(lines)
    assert lines == sorted(lines, key=lambda line: (datetime.fromisoformat(line["opened"]), line["id"]))
    return lines


def test_replay_of_a_simulation_gives_alert_lines(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "alerts.jsonl"
    done = mimamori("replay", recorded[0], "--alerts", out)
    assert done.returncode == 0, done.stderr
    assert " of 2 households, 0 rows set aside; alerts: " in done.stdout
    alert_lines(out)
    again = tmp_path / "again.jsonl"
    assert mimamori("replay", recorded[0], "--alerts", again).returncode == 0
    assert again.read_bytes() == out.read_bytes()


def test_replay_sets_bad_rows_aside_with_their_line_numbers(tmp_path: Path) -> None:
    bad = {
        50: "yesterday,H1,bed,heart_rate,66", 90: "2026-01-15T02:08:00+09:00,H1,bed,heart_rat,66",
        120: "2026-01-15T02:09:50+09:00,H1,bed,heart_rate,fast", 150: "2026-01-15T02:12:20+09:00,H1,bed,heart_rate,nan",
        151: "2026-01-15T02:12:30,H1,bed,heart_rate,66", 170: "2026-01-15T02:14:10+09:00,H1,bed,heart_rate,9000",
    }  # fmt: skip
    rows = [HEADER.strip()]
    for second in range(0, 1800, 10):
        for metric, value in (("in_bed", 1), ("heart_rate", 140)):
            while len(rows) + 1 in bad:
                rows.append(bad[len(rows) + 1])
            rows.append(f"2026-01-15T02:{second // 60:02d}:{second % 60:02d}+09:00,H1,bed,{metric},{value}")
    file, out = tmp_path / "readings.csv", tmp_path / "alerts.jsonl"
    file.write_text("\n".join(rows) + "\n")
    done = mimamori("replay", file, "--alerts", out)
    assert done.returncode == 0, done.stderr
    assert f"360 readings of 1 households, {len(bad)} rows set aside; alerts: heart-rate 1" in done.stdout
    told = [line for line in done.stderr.splitlines() if line.startswith("set aside")]
    assert sorted(int(line.split(":")[1]) for line in told) == sorted(bad)
    assert all("; " in line for line in told), "each with its mend"
    (line,) = alert_lines(out)
    assert (line["household"], line["rule"], line["resolved"]) == ("H1", "heart-rate", None)
    assert line["opened"].startswith("2026-01-15T02:0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column time"),
        ("", "readings.csv"),
        (HEADER + "2026-01-02T00:00:00Z,H1,d,motion,1\n2026-01-01T00:00:00Z,H1,d,motion,1\n", "not sorted by time"),
    ],
    ids=["other columns", "empty", "not sorted"],
)
def test_replay_of_what_is_no_reading_file_ends_with_1(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_text(text)
    done = mimamori("replay", file, "--alerts", tmp_path / "alerts.jsonl")
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "alerts.jsonl").exists()
