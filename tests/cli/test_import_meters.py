"""`mimamori import meter-csv` and `ukdale`: what meters told, read back as reading files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimamori.model.times import SECOND, parse_instant

from .conftest import bring


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
    def test_a_row_a_day(self, tmp_path: Path, *, ends: bool) -> None:
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
