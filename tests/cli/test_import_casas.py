"""`mimamori import casas`: small recordings in each layout that was published, read back as reading files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from .conftest import OLD, bring


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
