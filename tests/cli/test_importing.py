"""`mimamori import`: small recordings written here in each public layout, read back as reading files."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.cli import main
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import HOUR, MINUTE, SECOND, parse_instant, zone_table
from mimamori.stream.by_day import sorted_days
from mimamori.stream.recorded import RecordedFile

Row = tuple[str, str, str, float]


def bring(tmp_path: Path, kind: str, text: str | Path, *more: str, exits: int = 0) -> tuple[list[Row], Result]:
    """(time, device, metric, value) of what an importer makes of a text, and what it says."""
    file = tmp_path / "home.txt"
    if isinstance(text, str):
        file.write_text(text, encoding="utf-8")
    else:
        file = text
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(main, ["import", kind, str(file), "--out", str(out), *more])
    assert result.exit_code == exits, result.output
    if exits:
        return [], result
    rows = list(csv.reader(out.open(encoding="utf-8")))[1:]
    again = RecordedFile(path=out, homes=Homes(), metrics=Metrics())
    assert sum(len(b) for b in again.batches()) == len(rows)
    assert again.set_aside == 0
    return [(r[0], r[2], r[3], float(r[4])) for r in rows], result


OLD = """\
2010-11-04 00:03:50.209589 M003 ON Sleeping begin
2010-11-04 00:03:57.399391 M003 OFF
2010-11-04 05:40:51.303739 M004 ON Bed to Toilet begin

2010-11-04 05:43:30.279021 M004 OFF Bed to Toilet end
2010-11-04 08:11:09.966157 D001 OPEN
2010-11-04 08:11:14.000000 D001 CLOSE
2010-11-04 08:15:00 T002 21.5
2010-11-04 08:15:01 L005 ON
2010-11-04 08:15:02 M004 ONbad
half a line
2010-11-04 08:10:00 M005 ON
"""


class TestCasas:
    def test_the_old_layout(self, tmp_path: Path) -> None:
        labels = tmp_path / "labels.csv"
        rows, result = bring(tmp_path, "casas", OLD, "--labels", str(labels))
        assert rows == [
            ("2010-11-04T00:03:50.209+09:00", "M003", "motion", 1),
            ("2010-11-04T00:03:57.399+09:00", "M003", "motion", 0),
            ("2010-11-04T05:40:51.303+09:00", "M004", "motion", 1),
            ("2010-11-04T05:43:30.279+09:00", "M004", "motion", 0),
            ("2010-11-04T08:10:00.000+09:00", "M005", "motion", 1),  # late in the file, in its place here
            ("2010-11-04T08:11:09.966+09:00", "D001", "door_open", 1),
            ("2010-11-04T08:11:14.000+09:00", "D001", "door_open", 0),
            ("2010-11-04T08:15:00.000+09:00", "T002", "temperature", 21.5),
        ]
        assert "set aside home.txt:11: bad-row" in result.output
        assert "set aside home.txt:10: not-a-number" in result.output
        assert "L005 (1)" in result.output
        assert "2 rows set aside" in result.output
        told = [line.split(",", 1)[1] for line in labels.read_text(encoding="utf-8").splitlines()[1:]]
        assert told == ["Sleeping,begin", "Bed to Toilet,begin", "Bed to Toilet,end"]

    def test_places_before_the_value_and_doors_within_the_home(self, tmp_path: Path) -> None:
        text = (
            "2012-07-18 12:54:45.126257\tD001\tOutsideDoor\tFrontDoor\tOPEN\tControl4-Door\n"
            "2012-07-18 12:54:46\tD003\tBathroom\tBathroomDoor\tOPEN\tControl4-Door\n"
            "2012-07-18 12:54:47\tD003\tBathroom\tBathroomDoor\tCLOSE\tControl4-Door\n"
            "2012-07-18 12:54:48\tT102\tIgnore\tFrontDoorTemp\t28\tControl4-Temperature\n"
            "2012-07-18 12:54:49\tBATP102\tIgnore\tIgnore\t85\tControl4-BatteryPercent\n"
            "2012-07-18 12:54:50\tLS001\tKitchen\tKitchen\t14\tControl4-LightSensor\n"
            "2012-07-18 12:54:51\tMA016\tKitchen\tKitchen\tON\tControl4-MotionArea\n"
        )
        rows, result = bring(tmp_path, "casas", text)
        assert [r[1:] for r in rows] == [
            ("D001", "door_open", 1), ("D003", "motion", 1), ("D003", "motion", 1), ("T102", "temperature", 28),
            ("BATP102", "battery", 85), ("MA016", "motion", 1),
        ]  # fmt: skip
        assert "LS001 (1)" in result.output

    def test_commas_packed_and_an_activity_on_every_line(self, tmp_path: Path) -> None:
        file = tmp_path / "twor.csv.gz"
        file.write_bytes(gzip.compress(
            b"date,time,sensor,value,activity\n2/1/2009,8:00:38 AM,M048,OFF,,,\n"
            b"2/1/2009,1:02:03 PM,Bedroom,ON,Sleep,,\n"
            b"2/1/2009,1:02:04 PM,Bedroom,ON,Sleep,,\n2/1/2009,1:02:05 PM,OutsideDoor,OPEN,Leave,,\n"
        ))  # fmt: skip
        labels = tmp_path / "labels.csv"
        rows, result = bring(tmp_path, "casas", file, "--labels", str(labels))
        assert rows[0] == ("2009-02-01T08:00:38.000+09:00", "M048", "motion", 0)
        assert rows[-1] == ("2009-02-01T13:02:05.000+09:00", "OutsideDoor", "door_open", 1)
        assert "0 rows set aside" in result.output
        assert [line.split(",")[1] for line in labels.read_text(encoding="utf-8").splitlines()] == [
            "activity", "Sleep", "Leave",
        ]  # fmt: skip

    def test_the_release_with_rooms_for_names_and_edges_in_one_word(self, tmp_path: Path) -> None:
        text = (
            '2012-07-20,10:38:54.512364,OutsideDoor,ON,Step_Out="begin"\n'
            "2012-07-20,10:38:59.5,OutsideDoor,OFF\n"
            '2012-07-20,10:50:54.9333,OutsideDoor,ON,Step_Out="end"\n'
            "2012-07-20,11:00:00,BathroomADoor,ON,Toilet\n"
            "2012-07-20,11:00:01.25,KitchenATemperature,21.5\n"
            "2012-07-20,11:00:02,LivingRoomAChair,ON\n"
        )
        labels = tmp_path / "labels.csv"
        rows, result = bring(tmp_path, "casas", text, "--labels", str(labels))
        assert [r[1:] for r in rows] == [
            ("OutsideDoor", "door_open", 1), ("OutsideDoor", "door_open", 0), ("OutsideDoor", "door_open", 1),
            ("BathroomADoor", "motion", 1), ("KitchenATemperature", "temperature", 21.5),
            ("LivingRoomAChair", "motion", 1),
        ]  # fmt: skip
        assert "0 rows set aside" in result.output
        told = [line.split(",", 1)[1] for line in labels.read_text(encoding="utf-8").splitlines()[1:]]
        assert told == ["Step_Out,begin", "Step_Out,end", "Toilet,"]

    def test_raw_lines_whose_word_is_no_value_are_left_out_and_name_no_activity(self, tmp_path: Path) -> None:
        text = (
            "2012-07-18 12:54:45.1\tM009\tBedroom\tBedroom\tON\tControl4-Motion\n"
            "2012-07-18 12:54:46.2\tRAT101\tIgnore\tIgnore\tOK\tControl4-Radio\n"
            "2012-07-18 12:54:47.3\tBTN001\tIgnore\tIgnore\tTAP_COUNT_01\tControl4-Button\n"
        )
        labels = tmp_path / "labels.csv"
        rows, result = bring(tmp_path, "casas", text, "--labels", str(labels))
        assert [r[1:] for r in rows] == [("M009", "motion", 1)]
        assert "BTN001 (1), RAT101 (1)" in result.output
        assert labels.read_text(encoding="utf-8") == "time,activity,edge\n"

    def test_a_sensor_whose_first_word_is_spoilt_is_not_lost(self, tmp_path: Path) -> None:
        text = (
            "2009-10-16\t00:01:04.000059\tM017\tONM\r\n"  # two events in one line, as a logger writes them
            "2009-10-16\t00:01:06.000046\tM017\tOFF\r\n"
            "2009-10-16\t00:01:07\tD002\tOPE\r\n"
            "2009-10-16\t00:01:08\tD002\tOPEN\tR1_Bed_to_Toilet begin\r\n"
            "2009-10-16\t00:01:09\tAD1-A\t2.81\r\n"
            "2009-10-16 00:01:10 I08 ABSENT 2 2\r\n"
            "2009-10-16\t00:01:1"
        )
        labels = tmp_path / "labels.csv"
        rows, result = bring(tmp_path, "casas", text, "--labels", str(labels))
        assert [r[1:] for r in rows] == [("M017", "motion", 0), ("D002", "door_open", 1), ("I08", "motion", 1)]
        assert "home.txt:1: not-a-number" in result.output
        assert "home.txt:7: bad-row" in result.output
        assert "2012" not in result.output
        assert "R1_Bed_to_Toilet,begin" in labels.read_text(encoding="utf-8")

    def test_the_zone_makes_instants_and_an_hour_skipped_or_doubled_is_read(self, tmp_path: Path) -> None:
        text = "".join(f"2011-{d} M001 ON\n" for d in ("03-13 01:30:00", "03-13 03:30:00", "11-06 01:30:00"))
        rows, _ = bring(tmp_path, "casas", text, "--zone", "America/Los_Angeles")
        assert [r[0] for r in rows] == [
            "2011-03-13T01:30:00.000-08:00", "2011-03-13T03:30:00.000-07:00", "2011-11-06T01:30:00.000-07:00",
        ]  # fmt: skip

    def test_a_map_renames_converts_and_skips(self, tmp_path: Path) -> None:
        table = tmp_path / "map.toml"
        table.write_text(
            '[sensors]\n"M00*" = { device = "hall" }\nM004 = { device = "bed", metric = "in_bed" }\n'
            'T002 = { scale = 0.5555555556, offset = -17.77777778 }\nD001 = { skip = true }\n'
            'L005 = { metric = "motion", words = { ON = 1, OFF = 1 } }\n',
            encoding="utf-8",
        )  # fmt: skip
        rows, _ = bring(tmp_path, "casas", OLD.replace("21.5", "68"), "--map", str(table))
        assert {r[1:3] for r in rows} == {
            ("hall", "motion"), ("bed", "in_bed"), ("T002", "temperature"), ("L005", "motion"),
        }  # fmt: skip
        assert [round(r[3], 3) for r in rows if r[1] == "T002"] == [20.0]

    def test_every_mistake_of_a_map_is_named(self, tmp_path: Path) -> None:
        table = tmp_path / "map.toml"
        table.write_text('[sensors]\nM1 = { metric = "pulse" }\nM2 = { metrik = "motion" }\n', encoding="utf-8")
        _, result = bring(tmp_path, "casas", OLD, "--map", str(table), exits=1)
        assert "did you mean metric?" in result.output
        table.write_text('[sensors]\nM1 = { metric = "pulse" }\n', encoding="utf-8")
        _, result = bring(tmp_path, "casas", OLD, "--map", str(table), exits=1)
        assert 'sensors.M1.metric — no metric "pulse"' in result.output

    def test_degrees_fahrenheit_are_set_aside_with_the_mend(self, tmp_path: Path) -> None:
        _, result = bring(tmp_path, "casas", "2010-11-04 08:15:00 T002 73.5\n2010-11-04 08:15:01 M001 ON\n")
        assert "home.txt:1: out-of-range" in result.output
        assert "scale and offset" in result.output

    def test_alive_adds_beats_up_to_the_last_reading_of_the_household(self, tmp_path: Path) -> None:
        text = "2010-11-04 00:05:00 M001 ON\n2010-11-04 00:25:00 M002 ON\n2010-11-06 00:00:00 M001 ON\n"
        rows, _ = bring(tmp_path, "casas", text, "--alive", "10m")
        beats = [r[0] for r in rows if r[1:] == ("M001", "heartbeat", 1)]
        assert beats[:2] == ["2010-11-04T00:10:00.000+09:00", "2010-11-04T00:20:00.000+09:00"]
        assert beats[-1] == "2010-11-06T00:00:00.000+09:00"
        assert len(beats) == 2 * 144
        assert next(r[0] for r in rows if r[1:] == ("M002", "heartbeat", 1)) == "2010-11-04T00:30:00.000+09:00"

    @pytest.mark.parametrize("text", ["", "not a recording\n", "1352500095 599\n"])
    def test_another_file_is_refused(self, tmp_path: Path, text: str) -> None:
        _, result = bring(tmp_path, "casas", text, exits=1)
        assert "no line is a CASAS event" in result.output


KASTEREN = """\
Start time          End time            ID  Val
-----------------------------------------------
25-Feb-2008 00:20:14\t25-Feb-2008 00:22:57\t24\t1
25-Feb-2008 09:33:41\t25-Feb-2008 09:33:42\t12\t1
25-Feb-2008 09:40:00\t26-Feb-2008 01:00:00\t6\t1
25-Feb-2008 10:00:00\t25-Feb-2008 09:00:00\t6\t1
32-Feb-2008 10:00:00\t25-Feb-2008 11:00:00\t6\t1
"""


KASTEREN_WHOLE = """\
Start time: Time sensor started firing
End time: Time sensor stopped firing
ID: sensor id (see list below)
val: value of sensor (always 1)

Sensor IDs are:\x20
    [ 5]    'Hall-Toilet door' \x20
    [12]    'Frontdoor'        \x20
    [14]    'ToiletFlush'      \x20

Start time          \tEnd time            \tID\tVal
--------------------\t--------------------\t--\t---
03-Mar-2008 07:20:14\t03-Mar-2008 07:22:57\t5\t1
03-Mar-2008 09:33:41\t03-Mar-2008 09:33:42\t12\t1
03-Mar-2008 09:40:00\t03-Mar-2008 09:40:01\t14\t1
Length: 3
"""


class TestKasteren:
    def test_the_file_as_it_is_published_names_its_sensors(self, tmp_path: Path) -> None:
        rows, result = bring(tmp_path, "kasteren", KASTEREN_WHOLE)
        assert [r[1:] for r in rows] == [
            ("hall_toilet_door_5", "motion", 1), ("hall_toilet_door_5", "motion", 1),
            ("frontdoor_12", "door_open", 1), ("frontdoor_12", "door_open", 0),
            ("toiletflush_14", "motion", 1), ("toiletflush_14", "motion", 1),
        ]  # fmt: skip
        assert "0 rows set aside" in result.output
        names = tmp_path / "names.txt"
        names.write_text("    [12]    'Hatch'   \n", encoding="utf-8")
        rows, _ = bring(tmp_path, "kasteren", KASTEREN_WHOLE, "--names", str(names))
        assert rows[2][1:] == ("hatch_12", "motion", 1)

    def test_other_houses_have_no_list_and_no_value(self, tmp_path: Path) -> None:
        text = "27-Jul-2009 22:31:35\t27-Jul-2009 22:31:38\t28\r\n27-Jul-2009 22:33:58\t27-Jul-2009 22:34:06\t28\r\n"
        rows, _ = bring(tmp_path, "kasteren", text)
        assert [r[1] for r in rows] == ["sensor_28"] * 4

    def test_the_list_of_activities_is_refused_with_the_mend(self, tmp_path: Path) -> None:
        text = (
            "Start time: start of an activity\nID: activity id (see list below)\n\nactivity id list:\n"
            "1: 'leave house'\n10:'go to bed'\n\n03-Mar-2008 00:22:46\t03-Mar-2008 09:34:12\t10\nLength: 1\n"
        )
        _, result = bring(tmp_path, "kasteren", text, exits=1)
        assert "home.txt:4: this is the list of activities; give the file of the sensors" in result.output

    def test_starts_and_ends_in_order_with_names(self, tmp_path: Path) -> None:
        names = tmp_path / "names.txt"
        names.write_text("'Hall-Bedroom door' 24\n12, Front door\n", encoding="utf-8")
        rows, result = bring(tmp_path, "kasteren", KASTEREN, "--names", str(names))
        assert rows == [
            ("2008-02-25T00:20:14.000+09:00", "hall_bedroom_door_24", "motion", 1),
            ("2008-02-25T00:22:57.000+09:00", "hall_bedroom_door_24", "motion", 1),
            ("2008-02-25T09:33:41.000+09:00", "front_door_12", "door_open", 1),
            ("2008-02-25T09:33:42.000+09:00", "front_door_12", "door_open", 0),
            ("2008-02-25T09:40:00.000+09:00", "sensor_6", "motion", 1),
            ("2008-02-26T01:00:00.000+09:00", "sensor_6", "motion", 1),
        ]
        assert "home.txt:6: bad-row; the end lies before the start" in result.output
        assert "home.txt:7: bad-row" in result.output

    def test_a_mat_of_the_map_is_in_bed_from_start_to_end(self, tmp_path: Path) -> None:
        table = tmp_path / "map.toml"
        table.write_text(
            '[sensors]\n6 = { device = "bed", metric = "in_bed" }\n"*" = { skip = true }\n', encoding="utf-8"
        )
        rows, _ = bring(tmp_path, "kasteren", KASTEREN, "--map", str(table))
        assert [r[1:] for r in rows] == [("bed", "in_bed", 1), ("bed", "in_bed", 0)]

    def test_a_table_without_numbers_is_refused(self, tmp_path: Path) -> None:
        names = tmp_path / "names.txt"
        names.write_text("Front door\n", encoding="utf-8")
        _, result = bring(tmp_path, "kasteren", KASTEREN, "--names", str(names), exits=1)
        assert "names.txt:1" in result.output


def nem12(*days: str, length: int = 30, register: str = "E1") -> str:
    return (
        f"100,NEM12,200404201300,MDA1,Ret1\n200,V1,E1E2,1,{register},N1,01009,kWh,{length},\n"
        + "".join(f"{d}\n" for d in days)
        + "900\n"
    )


def day(date: str, value: str = "0.5", quality: str = "A", count: int = 48) -> str:
    return f"300,{date}," + ",".join([value] * count) + f",{quality},,,20040609153903,"


class TestMeter:
    def test_nem12_becomes_a_register_that_joins_over_midnight(self, tmp_path: Path) -> None:
        rows, _ = bring(tmp_path, "meter-csv", nem12(day("20040418"), day("20040417", "1.5")))
        assert rows[:2] == [
            ("2004-04-17T00:00:00.000+09:00", "meter", "energy", 0),
            ("2004-04-17T00:30:00.000+09:00", "meter", "energy", 1500),
        ]
        assert rows[-1] == ("2004-04-19T00:00:00.000+09:00", "meter", "energy", 48 * 1500 + 48 * 500)
        assert len(rows) == 97

    def test_a_hole_begins_the_register_again(self, tmp_path: Path) -> None:
        text = nem12(
            day("20040417", quality="V"),
            "400,1,10,A,,",
            "400,11,12,N,,",
            "400,13,48,E52,,",
            day("20040419", quality="N"),
        )
        rows, _ = bring(tmp_path, "meter-csv", text)
        at = {r[0][11:16]: r[3] for r in rows}
        assert at["05:00"] == 5000
        assert "05:30" not in at
        assert at["06:00"] == 0
        assert at["06:30"] == 500
        assert len(rows) == 2 + 46

    def test_other_registers_are_left_out_or_taken(self, tmp_path: Path) -> None:
        text = nem12(day("20040417")).replace("900\n", "") + nem12(day("20040417"), register="B1").split("\n", 1)[1]
        rows, result = bring(tmp_path, "meter-csv", text)
        assert "B1 (1)" in result.output
        assert {r[1] for r in rows} == {"meter"}
        rows, _ = bring(tmp_path, "meter-csv", text, "--register", "E1", "--register", "B1")
        assert {r[1] for r in rows} == {"meter", "meter-B1"}

    def test_bad_records_are_told_with_their_line(self, tmp_path: Path) -> None:
        text = nem12(
            day("20041317"), day("20040417", count=40), day("20040418").replace("0.5", "x", 1), day("20040420")
        )
        rows, result = bring(tmp_path, "meter-csv", text)
        for line in (3, 4, 5):
            assert f"home.txt:{line}: bad-row" in result.output
        assert len(rows) == 49

    def test_a_row_an_interval(self, tmp_path: Path) -> None:
        text = (
            "LCLid,stdorToU,tstp,energy(kWh/hh)\nMAC02,Std,2012-10-12 00:30:00.0000000, 0.25 \n"
            "MAC02,Std,2012-10-12 01:00:00.0000000,0.5\nMAC01,Std,2012-10-12 00:30:00.0000000,1\n"
            "MAC01,Std,2012-10-12 00:30:00.0000000,2\nMAC01,Std,yesterday,1\n"
            "MAC01,Std,2012-10-12 02:00:00,Null\nMAC01,Std\n"
        )  # fmt: skip
        rows, result = bring(tmp_path, "meter-csv", text)
        assert [(r[0][11:16], r[3]) for r in rows] == [
            ("00:30", 0), ("00:30", 0), ("01:00", 250), ("01:00", 2000), ("01:30", 750),
        ]  # fmt: skip
        for line in (6, 7, 8):
            assert f"home.txt:{line}: bad-row" in result.output
        assert "2 households" in result.output

    def test_own_columns_forms_ends_registers_and_power(self, tmp_path: Path) -> None:
        text = "Zeit;x\n"
        _, result = bring(tmp_path, "meter-csv", text, exits=1)
        assert "--time-column" in result.output
        text = "who,when,kw\na,31-12-2023 23:30,1.5\na,01-01-2024 00:00,0.5\n"
        names = ("--id-column", "who", "--time-column", "when", "--value-column", "kw", "--time-form", "%d-%m-%Y %H:%M")
        rows, _ = bring(tmp_path, "meter-csv", text, *names, "--kind", "power", "--unit", "kW", "--ends")
        assert [(r[0][:16], *r[2:]) for r in rows] == [
            ("2023-12-31T23:30", "power", 1500), ("2024-01-01T00:00", "power", 500),
        ]  # fmt: skip
        rows, _ = bring(tmp_path, "meter-csv", text, *names, "--kind", "register", "--unit", "Wh")
        assert [(r[0][11:16], *r[2:]) for r in rows] == [("23:30", "energy", 1.5), ("00:00", "energy", 0.5)]
        _, result = bring(tmp_path, "meter-csv", text, *names, "--kind", "power", exits=1)
        assert "choose W or kW" in result.output

    @pytest.mark.parametrize("ends", [False, True])
    def test_a_row_a_day(self, tmp_path: Path, ends: bool) -> None:  # noqa: FBT001
        clocks = [f"{(i + ends) // 2:02d}:{(i + ends) % 2 * 30:02d}" for i in range(48)]
        text = "日付,対象日," + ",".join(clocks) + "\n,2026/01/01," + ",".join(["0.1"] * 47) + ",\n"
        rows, _ = bring(tmp_path, "meter-csv", text, *(["--ends"] if ends else []))
        assert rows[0] == ("2026-01-01T00:00:00.000+09:00", "meter", "energy", 0)
        assert rows[-1] == ("2026-01-01T23:30:00.000+09:00", "meter", "energy", 4700)

    @pytest.mark.parametrize(
        ("text", "more", "first"),
        [
            pytest.param(
                "\ufeff日付,時刻,使用量(kWh)\n2026/1/5,0:00,0.25\n2026/1/5,0:30,0.5\n", (),
                "2026-01-05T00:00:00.000+09:00", id="Japanese, date and clock apart, with a byte order mark",
            ),
            pytest.param(
                'Name,A B\nAddress,"1 Way, Town"\nAccount Number,17\nService,Service 1\n\n'
                "TYPE,DATE,START TIME,END TIME,USAGE (kWh),COST,NOTES\n"
                "Electric usage,2026-01-05,00:00,00:29,0.25,$0.05,\nElectric usage,2026-01-05,00:30,00:59,0.5,$0.10,\n",
                (), "2026-01-05T00:00:00.000+09:00", id="Green Button, below five lines about the customer",
            ),
            pytest.param(
                "Messzeitpunkt;Verbrauch (kWh);Qualität\n05.01.2026 00:00;0,250000;L1\n05.01.2026 00:30;0,500000;L1\n",
                (), "2026-01-05T00:00:00.000+09:00", id="semicolons, decimal commas, day first",
            ),
            pytest.param(
                "Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End\n"
                "0.25, 3.1, 2026-01-05T00:00:00+01:00, 2026-01-05T00:30:00+01:00\n"
                "0.5, 6.2, 2026-01-05T00:30:00+01:00, 2026-01-05T01:00:00+01:00\n",
                (), "2026-01-05T08:00:00.000+09:00", id="Octopus, with offsets",
            ),
            pytest.param(
                "MPRN,Meter Serial Number,Read Value,Read Type,Read Date and End Time\n"
                "101,7,0.5,Active Import Interval (kWh),05-01-2026 01:00\n"
                "101,7,0.25,Active Import Interval (kWh),05-01-2026 00:30\n",
                ("--ends", "--time-form", "%d-%m-%Y %H:%M"), "2026-01-05T00:00:00.000+09:00", id="ESB, newest first",
            ),
            pytest.param(
                "cups;fecha;hora;consumo_kWh;metodoObtención\n", (), "", id="only a heading",
            ),
        ],
    )  # fmt: skip
    def test_files_as_utilities_give_them(self, tmp_path: Path, text: str, more: tuple[str, ...], first: str) -> None:
        rows, result = bring(tmp_path, "meter-csv", text, *more, exits=0 if first else 1)
        if not first:
            assert "gave no reading" in result.output
            return
        assert rows[0] == (first, "meter", "energy", 0)
        assert [r[3] for r in rows] == [0, 250, 750]
        assert "0 rows set aside" in result.output

    def test_a_load_curve_of_mean_power_below_its_preamble(self, tmp_path: Path) -> None:
        text = (
            "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Unite\r\n"
            "17;Courbe de charge;05/01/2026;06/01/2026;W\r\nHorodate;Valeur\r\n2026-01-05T00:30:00+09:00;1200\r\n"
            "2026-01-05T01:00:00+09:00;\r\n2026-01-05T01:30:00+09:00;600\r\n2026-01-05T02:00:00+09:00\r\n"
        )
        rows, result = bring(tmp_path, "meter-csv", text, "--kind", "power", "--unit", "W", "--ends")
        assert [(r[0][11:16], *r[2:]) for r in rows] == [("00:30", "power", 1200), ("01:30", "power", 600)]
        assert "home.txt:5: bad-row; a time (see --time-form) and a plain number" in result.output
        assert "home.txt:7: bad-row; write 2 columns" in result.output

    @pytest.mark.parametrize("name", ["{0:02d}:{1:02d}～{2:02d}:{3:02d}", "{0}時{1:02d}分", "{0}:{1:02d}"])
    def test_a_row_a_day_in_the_alphabet_of_japanese_windows(self, tmp_path: Path, name: str) -> None:
        half = [(m // 60, m % 60, (m + 30) // 60, (m + 30) % 60) for m in range(0, 1440, 30)]
        heading = ",".join(["供給地点特定番号", "年月日", *(name.format(*h) for h in half)])
        file = tmp_path / "utility.csv"
        file.write_bytes(f"{heading}\r\n0301,2026年1月5日,{','.join(['0.1'] * 48)}\r\n".encode("cp932"))
        rows, _ = bring(tmp_path, "meter-csv", file)
        assert len(rows) == 49
        assert rows[0][0] == "2026-01-05T00:00:00.000+09:00"
        assert rows[-1] == ("2026-01-06T00:00:00.000+09:00", "meter", "energy", 4800)

    def test_the_last_half_hour_told_as_24_00(self, tmp_path: Path) -> None:
        text = "datetime;kwh\n2026-01-05 23:30;0,1\n2026-01-05 24:00;0,2\nsoon;0,2\n2026-02-30 00:00;1\n"
        rows, result = bring(tmp_path, "meter-csv", text, "--ends")
        assert [(r[0][:16], r[3]) for r in rows] == [
            ("2026-01-05T23:00", 0), ("2026-01-05T23:30", 100), ("2026-01-06T00:00", 300),
        ]  # fmt: skip
        for line in (4, 5):
            assert f"home.txt:{line}: bad-row" in result.output

    def test_a_thousand_with_a_comma_is_not_guessed_at(self, tmp_path: Path) -> None:
        rows, result = bring(tmp_path, "meter-csv", 'time,kwh\n2026-01-05 00:00,"1,234"\n2026-01-05 00:30,1\n')
        assert [r[3] for r in rows] == [0, 1000]
        assert "home.txt:2: bad-row" in result.output

    def test_times_with_their_own_offset(self, tmp_path: Path) -> None:
        rows, _ = bring(tmp_path, "meter-csv", "time,kwh\n2026-01-01T00:00:00Z,1\n2026-01-01T00:30:00Z,1\n")
        assert rows[-1][0] == "2026-01-01T10:00:00.000+09:00"


class TestUkdale:
    @pytest.fixture
    def house(self, tmp_path: Path) -> Path:
        folder = tmp_path / "house_1"
        folder.mkdir()
        (folder / "labels.dat").write_text("1 aggregate\n2 kettle\n", encoding="utf-8")
        start = parse_instant("2012-11-09T22:28:00+00:00") // SECOND
        (folder / "channel_1.dat").write_text(
            "".join(f"{start + 6 * i} {100 + i % 10}\n" for i in range(25))
            + "x y\n1352500095\n5 100\n1352500095 99999\n",
            encoding="utf-8",
        )  # fmt: skip
        (folder / "channel_2.dat").write_text(f"{start} 0\n{start + 7} 2000\n", encoding="utf-8")
        return folder

    def test_means_of_the_whole_house(self, tmp_path: Path, house: Path) -> None:
        rows, result = bring(tmp_path, "ukdale", house)
        assert rows == [
            ("2012-11-10T07:29:00.000+09:00", "meter", "power", 104.5),
            ("2012-11-10T07:30:00.000+09:00", "meter", "power", 104.5),
            ("2012-11-10T07:31:00.000+09:00", "meter", "power", 102.0),
        ]
        for line in (26, 27, 28, 29):
            assert f"channel_1.dat:{line}: " in result.output

    def test_every_sample_of_channels_asked_for(self, tmp_path: Path, house: Path) -> None:
        rows, _ = bring(tmp_path, "ukdale", house.parent, "--channel", "all", "--every", "0s")
        assert len(rows) == 27
        assert rows[0][1:] == ("meter", "power", 100)
        assert rows[1][1:] == ("kettle-2", "power", 0)
        _, result = bring(tmp_path, "ukdale", house, "--channel", "oven", exits=1)
        assert "it has 1 aggregate, 2 kettle" in result.output
        (tmp_path / "empty").mkdir()
        _, result = bring(tmp_path, "ukdale", tmp_path / "empty", exits=1)
        assert "house_1" in result.output

    def test_the_second_meter_of_a_house_and_what_is_no_channel(self, tmp_path: Path, house: Path) -> None:
        start = parse_instant("2013-03-17T19:12:42+00:00") // SECOND
        mains = house / "mains.dat"
        mains.write_text("".join(f"{start + i}.02 {200 + i}.51 292.22 239.37\n" for i in range(3)), encoding="utf-8")
        rows, _ = bring(tmp_path, "ukdale", mains, "--every", "0s")
        assert [r[1:] for r in rows] == [
            ("meter", "power", 200.51),
            ("meter", "power", 201.51),
            ("meter", "power", 202.51),
        ]
        (house / "channel_2_button_press.dat").write_text(f"{start} 1\n", encoding="utf-8")
        rows, _ = bring(tmp_path, "ukdale", house, "--channel", "all", "--every", "0s")
        assert {r[1] for r in rows} == {"meter", "kettle-2"}
        whole = tmp_path / "ukdale.h5"
        whole.write_bytes(b"\x89HDF\r\n")
        _, result = bring(tmp_path, "ukdale", whole, exits=1)
        assert "give the folder of text files" in result.output


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / n for n in ("a.parquet", "b.parquet")]
    source = tmp_path / "home.txt"
    source.write_text(OLD, encoding="utf-8")
    for file in files:
        told = CliRunner().invoke(main, ["import", "casas", str(source), "--out", str(file), "--alive", "10m"])
        assert told.exit_code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=8), max_size=5))
def test_any_order_is_sorted_and_nothing_is_lost(parts: list[list[tuple[int, int]]]) -> None:
    batches = [reading_batch([(0, d, 5, float(i), h * HOUR, h * HOUR, 0) for i, (h, d) in enumerate(p)]) for p in parts]
    told = [
        (t, d, v)
        for _, b in sorted_days(batches)
        for t, d, v in zip(b.taken.tolist(), b.device.tolist(), b.value.tolist(), strict=True)
    ]
    given_rows = [(h * HOUR, d, float(i)) for p in parts for i, (h, d) in enumerate(p)]
    assert told == sorted(given_rows, key=lambda r: r[:2])  # stable, as Python's own sort


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"])
def test_wall_clock_and_instant_are_each_others_way_back(zone: str) -> None:
    table = zone_table(zone)
    at = parse_instant("2026-01-01T00:00:00Z") + np.arange(0, 366 * 48, dtype=np.int64) * 30 * MINUTE
    back = table.instants(table.local_many(at))
    doubled = np.flatnonzero(back != at)
    assert len(doubled) <= 2  # the hour that the clock shows twice
    assert (table.local_many(back) == table.local_many(at)).all()
