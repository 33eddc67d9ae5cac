"""Charts as Vega-Lite specifications: plain tables in, a plain dict out. The same dict goes to the screen and to paper.

May import nothing of mimamori. Pure: times are local milliseconds, texts come ready in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name, never fetched
WIDE, NARROW = 560, 300  # px: a desk's column, and a telephone of 360 px
INK, SOFT, GRID, BLUE, BAND, RED, GREEN, AMBER = (
    "#13202b", "#475866", "#dde4ea", "#0b5cad", "#b9d3ea", "#b3001b", "#146c4c", "#b87800",
)  # fmt: skip
_FONT = "Hiragino Sans, Noto Sans JP, Noto Sans CJK JP, Yu Gothic UI, Meiryo, sans-serif"
_CONFIG = {
    "font": _FONT, "background": "white", "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": SOFT, "gridColor": GRID, "domainColor": SOFT, "tickColor": SOFT,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
    },
    "legend": {"labelFontSize": 12, "labelColor": INK, "orient": "bottom", "title": None},
    "text": {"fontSize": 12, "fontWeight": "bold"},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The stretch of time a chart shows, in local ms, and how wide it is drawn. marks: (local ms, words)."""

    start: int
    end: int
    width: int = WIDE
    marks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a trace calls its parts."""

    value: str
    unit: str
    usual: str
    time: str


def trace(frame: Frame, points: Sequence[Row], usual: Sequence[Row], limits: Sequence[Row], words: Words) -> Spec:
    """One measured value over time, the person's own usual band behind it, and the limits drawn in.

    points: {t, v, lo, hi}; v None where nothing came, so that the line breaks. usual: {t, low, mid, high}. limits:
    {y, label}.
    """
    y = {"type": "quantitative", "scale": {"zero": False}, "axis": {"title": words.unit or None, "tickCount": 5}}
    tip = [_time_tip(words.time), {"field": "v", "title": words.value, "format": ".1f"}]
    layers: list[Spec] = []
    if usual:
        layers += [
            _layer(usual, {"type": "area", "color": BAND, "opacity": 0.6}, y={"field": "low"} | y,
                   y2={"field": "high"}),
            _layer(usual, {"type": "line", "color": SOFT, "strokeDash": [3, 3], "strokeWidth": 1},
                   y={"field": "mid"} | y,
                   tooltip=[_time_tip(words.time), {"field": "mid", "title": words.usual, "format": ".1f"}]),
        ]  # fmt: skip
    layers += [
        _layer(points, {"type": "area", "color": BLUE, "opacity": 0.25}, y={"field": "lo"} | y, y2={"field": "hi"}),
        _layer(points, {"type": "line", "color": BLUE, "strokeWidth": 2}, y={"field": "v"} | y),
        _layer(points, {"type": "point", "color": BLUE, "filled": True, "size": 14}, y={"field": "v"} | y, tooltip=tip),
    ]  # fmt: skip
    for limit in limits:
        here = {"values": [limit]}
        layers += [
            {"data": here, "mark": {"type": "rule", "color": RED, "strokeWidth": 2},
             "encoding": {"y": {"field": "y"} | y}},
            {"data": here, "mark": {"type": "text", "color": RED, "align": "left", "dx": 4, "dy": -7, "x": 0},
             "encoding": {"y": {"field": "y"} | y, "text": {"field": "label"}}},
        ]  # fmt: skip
    return _timed(frame, layers, height=170, words=words.time)


def strips(frame: Frame, rows: Sequence[Row], order: Sequence[str], words: Words) -> Spec:
    """When each kind of sign came: a row a kind, a bar a stretch. rows: {t, t2, row, n}. order: the kinds' names."""
    y = {
        "field": "row", "type": "nominal", "sort": list(order), "scale": {"domain": list(order)},
        "axis": {"title": None, "grid": True, "ticks": False},
    }  # fmt: skip
    tip = [{"field": "row", "title": words.value}, _time_tip(words.time), {"field": "n", "title": words.unit}]
    layers = [_layer(rows, {"type": "bar", "color": GREEN, "height": 16}, y=y, x2={"field": "t2"}, tooltip=tip)]
    return _timed(frame, layers, height=30 * max(1, len(order)), words=words.time)


def bars(width: int, rows: Sequence[Row], limit: Row | None, unit: str) -> Spec:
    """Lying bars that add up in each row, with the limit drawn in. rows: {row, part, v}. limit: {x, label}."""
    names = list(dict.fromkeys(r["row"] for r in rows))
    parts = list(dict.fromkeys(r["part"] for r in rows))
    colours = {"domain": parts, "range": [BLUE, GREEN, AMBER, "#6b4fa0", SOFT][: max(1, len(parts))]}
    y = {"field": "row", "type": "nominal", "sort": names, "axis": {"title": None, "labelLimit": 120, "ticks": False}}
    x = {"field": "v", "type": "quantitative", "stack": "zero", "axis": {"title": unit, "tickCount": 5}}
    colour = {"field": "part", "type": "nominal", "scale": colours, "sort": parts} | (
        {} if len(parts) > 1 else {"legend": None}
    )
    tip = [
        {"field": "row", "title": " "},
        {"field": "part", "title": "  "},
        {"field": "v", "title": unit, "format": ".1f"},
    ]
    layers: list[Spec] = [
        {"data": {"values": list(rows)}, "mark": {"type": "bar", "height": 22},
         "encoding": {"y": y, "x": x, "color": colour, "tooltip": tip}},
    ]  # fmt: skip
    if limit is not None:
        at = {"field": "x", "type": "quantitative"}
        layers += [
            {"data": {"values": [limit]}, "mark": {"type": "rule", "color": RED, "strokeWidth": 3},
             "encoding": {"x": at}},
            {"data": {"values": [limit]},
             "mark": {"type": "text", "color": RED, "align": "right", "dx": -5, "y": 0, "dy": -8},
             "encoding": {"x": at, "text": {"field": "label"}}},
        ]  # fmt: skip
    return _whole(layers, width=width, height=36 * max(1, len(names)))


def actogram(
    width: int, days: Sequence[str], rows: Sequence[Row], alerts: Sequence[Row], words: Mapping[str, str]
) -> Spec:
    """Day by time of day, each line showing two days in a row, so that no night is cut at midnight.

    days: the lines' names, from the oldest. rows: {day, x, x2, lane 0..2, part, level 0..1}, x in hours 0..48. alerts:
    {day, x, title}. words: of the lanes "bed", "motion", "power", and of "alert".
    """
    parts = [words[name] for name in ("bed", "motion", "power")]
    names = "[" + ",".join(f"'{day}'" for day in days) + "]"
    y = {
        "type": "quantitative", "scale": {"domain": [0, len(days)], "reverse": True, "nice": False},
        "axis": {
            "title": None, "values": [i + 0.5 for i in range(len(days))], "labelExpr": f"{names}[floor(datum.value)]",
            "grid": False, "ticks": False, "labelOverlap": False,
        },
    }  # fmt: skip
    x = {
        "type": "quantitative", "scale": {"domain": [0, 48], "nice": False},
        "axis": {"title": None, "values": list(range(0, 49, 6)), "labelExpr": "(datum.value % 24) + ':00'",
                 "labelFlush": False, "labelOverlap": "greedy"},
    }  # fmt: skip
    colour = {
        "field": "part",
        "type": "nominal",
        "sort": parts,
        "scale": {"domain": parts, "range": [BLUE, GREEN, AMBER]},
    }
    cells = [r | {"y": r["day"] + 0.08 + 0.29 * r["lane"], "y2": r["day"] + 0.34 + 0.29 * r["lane"]} for r in rows]
    layers = [
        {"data": {"values": cells}, "mark": {"type": "rect"},
         "encoding": {
             "x": {"field": "x"} | x, "x2": {"field": "x2"}, "y": {"field": "y"} | y, "y2": {"field": "y2"},
             "color": colour, "opacity": {"field": "level", "type": "quantitative", "legend": None,
                                          "scale": {"domain": [0, 1], "range": [0, 1]}},
         }},
        {"data": {"values": [{"x": 24}]}, "mark": {"type": "rule", "color": SOFT, "strokeDash": [4, 3]},
         "encoding": {"x": {"field": "x"} | x}},
        {"data": {"values": [a | {"y": a["day"] + 0.5} for a in alerts]},
         "mark": {"type": "point", "shape": "triangle-up", "filled": True, "color": RED, "size": 110, "opacity": 1,
                  "stroke": "white"},
         "encoding": {"x": {"field": "x"} | x, "y": {"field": "y"} | y,
                      "tooltip": [{"field": "title", "title": words["alert"]}]}},
    ]  # fmt: skip
    return _whole(layers, width=width, height=26 * max(1, len(days)))


def nights(width: int, rows: Sequence[Row], usual: Sequence[Row], words: Mapping[str, str]) -> Spec:
    """When the person lay in bed, a line a night. rows: {night, x, x2}, x in hours after 18:00. usual: {x, label}."""
    names = list(dict.fromkeys(r["night"] for r in rows))
    x = {
        "type": "quantitative", "scale": {"domain": [0, 18], "nice": False},
        "axis": {"title": None, "values": list(range(0, 19, 3)), "labelExpr": "((datum.value + 18) % 24) + ':00'"},
    }  # fmt: skip
    y = {"field": "night", "type": "nominal", "sort": names, "axis": {"title": None, "ticks": False, "grid": True}}
    layers: list[Spec] = [
        {"data": {"values": list(rows)}, "mark": {"type": "bar", "color": BLUE, "height": 12},
         "encoding": {"x": {"field": "x"} | x, "x2": {"field": "x2"}, "y": y,
                      "tooltip": [{"field": "night", "title": words["night"]},
                                  {"field": "tip", "title": words["bed"]}]}},
    ]  # fmt: skip
    if usual:
        layers += [
            {"data": {"values": list(usual)}, "mark": {"type": "rule", "color": AMBER, "strokeWidth": 2,
                                                       "strokeDash": [5, 3]}, "encoding": {"x": {"field": "x"} | x}},
            {"data": {"values": list(usual)}, "mark": {"type": "text", "color": "#7a4a00", "y": 0, "dy": -8},
             "encoding": {"x": {"field": "x"} | x, "text": {"field": "label"}}},
        ]  # fmt: skip
    return _whole(layers, width=width, height=20 * max(1, len(names)))


def timeline(frame: Frame, rows: Sequence[Row], marks: Sequence[Row], names: Sequence[str]) -> Spec:
    """Alerts of a shift, a line each. rows: {name, t, t2, colour, tip}. marks: {name, t, tip}: who was called."""
    y = {"field": "name", "type": "nominal", "sort": list(names), "scale": {"domain": list(names)},
         "axis": {"title": None, "ticks": False, "grid": True, "labelLimit": 230}}  # fmt: skip
    tip = [{"field": "name", "title": " "}, {"field": "tip", "title": "  "}]
    layers = [
        _layer(rows, {"type": "bar", "height": 12, "stroke": INK, "strokeWidth": 0.6}, y=y, x2={"field": "t2"},
               color={"field": "colour", "type": "nominal", "scale": None}, tooltip=tip),
        _layer(marks, {"type": "point", "shape": "triangle-down", "filled": True, "size": 45, "color": INK,
                       "yOffset": -9}, y=y, tooltip=tip),
    ]  # fmt: skip
    return _timed(frame, layers, height=24 * max(1, len(names)), words="")


def _time_tip(title: str) -> Spec:
    return {"field": "t", "type": "temporal", "timeUnit": "utcmonthdatehoursminutes", "title": title}


def _layer(rows: Sequence[Row], mark: Spec, **encoding: Any) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def _timed(frame: Frame, layers: list[Spec], *, height: int, words: str) -> Spec:
    """Layers over one local time axis, marks on top. The times are local already, so the axis counts them as UTC."""
    hours = (frame.end - frame.start) / 3_600_000
    few = frame.width == NARROW or hours <= 1
    x = {
        "type": "temporal",
        "scale": {"type": "utc", "domain": [frame.start, frame.end], "nice": False, "clamp": True},
        "axis": {"title": None, "format": "%H:%M" if hours <= 72 else "%m/%d", "tickCount": 5 if few else 9,
                 "labelOverlap": "greedy"},
    }  # fmt: skip
    for layer in layers:
        if layer["mark"]["type"] not in {"rule", "text"}:
            layer["encoding"]["x"] = {"field": "t"} | x
            layer["mark"]["clip"] = layer["mark"]["type"] != "text"
    for place, (at, label) in enumerate(frame.marks):
        here = {"values": [{"t": at, "label": label}]}
        right = at - frame.start > (frame.end - frame.start) / 2
        layers += [
            {"data": here, "mark": {"type": "rule", "color": INK, "strokeDash": [4, 3] if place else [1, 0],
                                    "strokeWidth": 1.5}, "encoding": {"x": {"field": "t"} | x}},
            {"data": here, "mark": {"type": "text", "align": "right" if right else "left", "dx": -4 if right else 4,
                                    "y": 0, "dy": -8 - 14 * place, "color": INK},
             "encoding": {"x": {"field": "t"} | x, "text": {"field": "label"}}},
        ]  # fmt: skip
    return _whole(layers, width=frame.width, height=height) | {"description": words}


def _whole(layers: list[Spec], *, width: int, height: int) -> Spec:
    return {
        "$schema": SCHEMA, "width": width, "height": height, "padding": 6,
        "autosize": {"type": "fit-x", "contains": "padding"}, "config": _CONFIG, "layer": layers,
    }  # fmt: skip
