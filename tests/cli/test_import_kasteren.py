"""`mimamori import kasteren`: van Kasteren's files as published and as copied, read back as reading files."""

from __future__ import annotations

from pathlib import Path

from .conftest import bring

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
