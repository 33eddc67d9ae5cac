"""A finding in one sentence, made from the very numbers the rule used. Japanese and English.

May import model and rules. Holds no diagnosis: it says what was seen, what is usual, and since when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mimamori.model.metrics import Metric, Metrics
from mimamori.model.times import HOUR, MINUTE, NEVER, Zone
from mimamori.rules.spec import (
    SIGNS,
    Absent,
    Away,
    Band,
    Climate,
    Cooling,
    Count,
    CutOff,
    Drift,
    Evidence,
    Flapping,
    Outage,
    Overdue,
    Rise,
    Rule,
    Silent,
    Stay,
    Unexpected,
    Usual,
)  # fmt: skip
from mimamori.rules.unheard import cut_off, flapping, outage, silent, span_of

FEW_EXPECTED = 0.5  # signs of life; fewer, and only the level of power was there to judge by
SOON_COLD = 12.0  # hours; farther ahead nobody can tell
FACTS_OF_A_STAY = ("day_hours", "usual_day_hours", "all_hours", "usual_all_hours")
Explain = Callable[[Mapping[str, float], int, int], tuple[str, str]]
SIGN_WORDS = {
    "motion": ("人感", "motion"), "bed": ("ベッド", "bed"), "door": ("玄関", "door"),
    "power": ("電力", "power"), "button": ("ボタン", "button"),
}  # fmt: skip


def explain_of(rule: Rule, zone: Zone, metrics: Metrics, rules: Sequence[Rule] = ()) -> Explain:
    """The function (facts by name, since, at) -> (ja, en) of one rule; since and at in ns. rules: that it looks at."""
    plain = _again(rule.condition, rules) if isinstance(rule.condition, Flapping) else _explain(rule, zone, metrics)

    def explain(facts: Mapping[str, float], since: int, at: int) -> tuple[str, str]:
        ja, en = plain(facts, since, at)
        if facts.get("own", 0) > 0:
            return f"{ja}（この方の設定）", f"{en} (limits set for this resident)"
        return ja, en

    return explain


def _again(condition: Flapping, rules: Sequence[Rule]) -> Explain:
    titles = {r.name: (r.title.ja, r.title.en) for r in rules}
    names = [titles.get(name, (name, name)) for name in condition.of]
    return lambda facts, _since, _at: flapping(facts, names[int(facts["which"])])


def _explain(rule: Rule, zone: Zone, metrics: Metrics) -> Explain:
    condition = rule.condition
    if isinstance(condition, Evidence):
        return lambda facts, since, at: _evidence(facts, _clock(zone, since, at), (at - since) / HOUR)
    if isinstance(condition, Band | Usual):
        metric = metrics[metrics.index(condition.metric)]
        say = _unlike if isinstance(condition, Usual) else _band if condition.of == "mean" else _dips
        words = (metric.title_ja, metric.title_en, metric.unit)
        return lambda facts, since, at: say(facts, _clock(zone, since, at), words)
    if isinstance(condition, Climate):
        hot, by_heat_index = bool(condition.high), condition.measure == "wbgt"
        return lambda facts, since, at: _climate(facts, _clock(zone, since, at), hot=hot, by_heat_index=by_heat_index)
    if isinstance(condition, Drift):
        figure, hours = metrics[metrics.index(condition.metric)], condition.between.length / HOUR
        return lambda facts, _since, _at: _drift(facts, figure, hours)
    if isinstance(condition, Outage):
        return lambda facts, since, at: outage(facts, _clock(zone, since, at), everybody=condition.of == "everybody")
    tell = {Away: _away, Absent: _absent, Rise: _rise, Count: _count, Silent: silent, Stay: _stay,
            Cooling: _cooling, CutOff: cut_off, Overdue: _overdue, Unexpected: _unexpected,
    }[type(condition)]  # fmt: skip
    return lambda facts, since, at: tell(facts, _clock(zone, since, at))


def _clock(zone: Zone, since: int, at: int) -> tuple[str, str]:
    """Time as 02:40, with the day before it when it is not today's."""
    if since == NEVER:
        return "開始時", "the start"
    local, today = zone.local(since), zone.local(at) // (24 * HOUR)
    text = f"{local // HOUR % 24:02d}:{local // MINUTE % 60:02d}"
    days = today - local // (24 * HOUR)
    if days == 0:
        return text, text
    if days == 1:
        return f"昨日{text}", f"{text} yesterday"
    return f"{days}日前の{text}", f"{text} {days} days ago"


def _evidence(facts: Mapping[str, float], since: tuple[str, str], hours: float) -> tuple[str, str]:
    span = span_of(hours)
    if facts.get("out", 0) > 0:
        limit = span_of(facts["limit_hours"])
        return (
            f"{since[0]}ごろ外出したまま{span[0]}戻っていません（この方の目安は{limit[0]}）。",
            f"Went out around {since[1]} and has not come back for {span[1]} (this household's limit: {limit[1]}).",
        )
    expected, nats, limit_nats = facts["expected"], facts["evidence"], facts["threshold"]
    if expected < FEW_EXPECTED and nats >= limit_nats:
        like_night_ja = (
            f"{since[0]}から{span[0]}、電気の使われ方が静かな夜中のままで、ふだんのこの時間帯と違います"
            f"（確かさ{nats:.1f}、基準{limit_nats:.1f}）。"
        )
        like_night_en = (
            f"For {span[1]}, since {since[1]}, power has been drawn as in a quiet night, unlike this household at "
            f"these hours (evidence {nats:.1f} of {limit_nats:.1f} nats)."
        )
        return like_night_ja, like_night_en
    if expected < FEW_EXPECTED and hours >= facts["limit_hours"]:
        return (
            f"{since[0]}から{span[0]}、生活の動きがありません（上限時間を超過）。",
            f"No sign of life for {span[1]}, since {since[1]} (longest time reached).",
        )
    parts = [(SIGN_WORDS[s], facts[s]) for s in SIGNS if facts.get(s, 0) >= 0.05]
    ja = "・".join(f"{w[0]}{v:.1f}" for w, v in parts)
    en = " + ".join(f"{w[1]} {v:.1f}" for w, v in parts)
    sentence_ja = (
        f"{since[0]}から{span[0]}、生活の動きがありません。ふだんならこの間に約{expected:.0f}回の動きがあるはずですが"
        f"0回でした（確かさ{nats:.1f}、基準{limit_nats:.1f}：{ja or '上限時間を超過'}）。"
    )
    sentence_en = (
        f"No sign of life for {span[1]}, since {since[1]}; usually about {expected:.0f} by now, saw none "
        f"(evidence {nats:.1f} of {limit_nats:.1f} nats: {en or 'longest time reached'})."
    )
    return sentence_ja, sentence_en


def _band(facts: Mapping[str, float], since: tuple[str, str], metric: tuple[str, str, str]) -> tuple[str, str]:
    ja, en, unit = metric
    value, low, high = facts["value"], facts["low"], facts["high"]
    limits = [f"{v:g}" for v in (low, high) if np.isfinite(v)]
    sides = [w for w, v in (("以下", low), ("以上", high)) if np.isfinite(v)]
    between = "・".join(f"{v}{s}" for v, s in zip(limits, sides, strict=True))
    minutes = facts["minutes"]
    sentence_en = (
        f"{en.capitalize()} outside its limits for about {minutes:.0f} min, since {since[1]}; last minute's mean "
        f"{value:.0f} {unit} (limits {' and '.join(limits)})."
    )
    return (
        f"{ja}が{since[0]}から{minutes:.0f}分ほど範囲外です。直近1分の平均は{value:.0f}（{between}で通知）。",
        sentence_en,
    )


def _dips(facts: Mapping[str, float], since: tuple[str, str], metric: tuple[str, str, str]) -> tuple[str, str]:
    """A band of the least value of each minute."""
    ja, en, unit = metric
    value, low, minutes, hold = (facts[name] for name in ("value", "low", "minutes", "hold_minutes"))
    return (
        (
            f"{since[0]}からの{minutes:.0f}分間に、{ja}が{low:g}以下に下がる分が何度もあります（{hold:.0f}分以上で通知）。"
            f"直近1分の最低は{value:.0f}。"
        ),
        (
            f"{en.capitalize()} has fallen to {low:g} {unit} or below again and again in the {minutes:.0f} min since "
            f"{since[1]} (told of from {hold:.0f} such minutes on); last minute's least {value:.0f}."
        ),
    )


def _unlike(facts: Mapping[str, float], since: tuple[str, str], metric: tuple[str, str, str]) -> tuple[str, str]:
    ja, en, unit = metric
    value, usual, low, high = (facts[name] for name in ("value", "usual", "low", "high"))
    sentence_ja = (
        f"{since[0]}から、{ja}がこの方のふだんの夜と違います。直近1分の平均は{value:.0f}"
        f"（ふだん{usual:.0f}、いつもの幅{low:.0f}〜{high:.0f}）。"
    )
    sentence_en = (
        f"Since {since[1]} {en} has been unlike this household's own nights; last minute's mean {value:.0f} {unit} "
        f"(usually {usual:.0f}, between {low:.0f} and {high:.0f})."
    )
    return sentence_ja, sentence_en


def _away(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    minutes, usual, limit = facts["minutes"], facts["usual_minutes"], facts["limit_minutes"]
    sentence_ja = (
        f"{since[0]}に離床してから{minutes:.0f}分、ベッドに戻っていません。"
        f"ふだんは{usual:.0f}分ほどで戻ります（目安{limit:.0f}分）。"
    )
    sentence_en = (
        f"Left the bed at {since[1]} and not back for {minutes:.0f} min; usually back within about {usual:.0f} min "
        f"(limit {limit:.0f} min)."
    )
    return sentence_ja, sentence_en


def _absent(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    seconds, heart, breath = facts["seconds"], facts["last_heart_rate"], facts["last_respiration_rate"]
    before = [(f"心拍{heart:.0f}", f"heart rate {heart:.0f}")] if np.isfinite(heart) else []
    before += [(f"呼吸{breath:.0f}", f"respiration {breath:.0f}")] if np.isfinite(breath) else []
    ja = "・".join(w[0] for w in before) or "体動のみ"
    en = ", ".join(w[1] for w in before) or "movement only"
    sentence_ja = (
        f"在床のまま、{since[0]}から{seconds:.0f}秒、呼吸・心拍・体動の信号がありません（直前は{ja}）。"
        "センサーとの通信は続いています。"
    )
    sentence_en = (
        f"In bed, but no breathing, heartbeat or movement signal for {seconds:.0f} s, since {since[1]} "
        f"(before that: {en}). The sensor is still talking."
    )
    return sentence_ja, sentence_en


def _rise(facts: Mapping[str, float], _: tuple[str, str]) -> tuple[str, str]:
    now, limit, usual = (_time_of_day(facts[name]) for name in ("minutes", "limit_minutes", "usual_minutes"))
    return (
        f"{now}になっても在床のままです。ふだんは{usual}ごろ起床します（目安{limit}）。",
        f"Still in bed at {now}; usually up around {usual} (limit {limit}).",
    )


def _time_of_day(minutes: float) -> str:
    hour, minute = divmod(round(minutes), 60)
    return f"{hour:02d}:{minute:02d}"


def _stay(facts: Mapping[str, float], _: tuple[str, str]) -> tuple[str, str]:
    day, usual_day, in_all, usual_all = (span_of(facts[f]) for f in FACTS_OF_A_STAY)
    sentence_ja = (
        f"ふだんより長く床についています。この24時間で{in_all[0]}（ふだん{usual_all[0]}）、"
        f"日中は{day[0]}（ふだん{usual_day[0]}）でした。"
    )
    sentence_en = (
        f"In bed for longer than usual: {in_all[1]} of the last 24 h (usually {usual_all[1]}), by day {day[1]} "
        f"(usually {usual_day[1]})."
    )
    return sentence_ja, sentence_en


def _cooling(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    now, usual, limit, hours = (facts[f] for f in ("temperature", "usual", "limit", "hours_to_10"))
    what = ("起きている時間のふだんの室温", "usual while somebody is up") if facts["while_up"] > 0 else (
        "ふだんの一日の最低室温", "usually the coldest of a day")  # fmt: skip
    power = ("", "")
    if facts["usual_watts"] > 0:
        watts, as_usual = facts["watts"], facts["usual_watts"]
        power = (
            f"電力は{watts:.0f} W（ふだん{as_usual:.0f} W）。",
            f" Power {watts:.0f} W (usually {as_usual:.0f} W).",
        )
    soon = (f"このまま下がると約{hours:.0f}時間で10℃になります。", f" At this rate 10 °C in about {hours:.0f} h.")
    soon = soon if 0 < hours <= SOON_COLD else ("", "")
    sentence_ja = (
        f"{since[0]}から、室温がふだんより低いままです。いま{now:.1f}℃、{what[0]}は{usual:.1f}℃（目安{limit:.1f}℃）。"
        f"{power[0]}{soon[0]}"
    )
    sentence_en = (
        f"Since {since[1]} the room has been colder than usual: now {now:.1f} °C, {what[1]} {usual:.1f} °C "
        f"(limit {limit:.1f} °C).{power[1]}{soon[1]}"
    )
    return sentence_ja, sentence_en


def _overdue(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    late, limit = span_of(facts["hours_late"]), span_of(facts["limit_hours"])
    ja = f"登録された不在は{since[0]}に終わりましたが、その後{late[0]}、帰宅のしるしがありません（目安{limit[0]}）。"
    en = (
        f"The declared absence ended at {since[1]}; for {late[1]} since then no sign of a return has been seen "
        f"(limit {limit[1]})."
    )
    return ja, en


def _unexpected(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    minutes, window, kinds, left = (
        facts["minutes"],
        facts["window_minutes"],
        facts["kinds"],
        span_of(facts["hours_left"]),
    )
    ja = (
        f"不在の登録中ですが、{since[0]}から動きがあります（{window:.0f}分間に{minutes:.0f}分、センサー{kinds:.0f}種類）。"
        f"早く帰宅されたか、ほかの人がいるのかを確認。登録は残り{left[0]}。"
    )
    en = (
        f"Declared away, but there have been signs of life since {since[1]} ({minutes:.0f} of {window:.0f} min, "
        f"{kinds:.0f} kinds of sensor). Came home early, or somebody else is there? The absence has {left[1]} to go."
    )
    return ja, en


def _climate(facts: Mapping[str, float], since: tuple[str, str], *, hot: bool, by_heat_index: bool) -> tuple[str, str]:
    value, limit, span = facts["value"], facts["limit"], span_of(facts["minutes"] / 60)
    room, humidity = facts["temperature"], facts["humidity"]
    side = ("以上", "at or above") if hot else ("以下", "at or below")
    name = ("暑さ指数(WBGT)", "heat index (WBGT)") if by_heat_index else ("室温", "room temperature")
    air = (f"（室温{room:.1f}℃・湿度{humidity:.0f}％）", f" ({room:.1f} °C, {humidity:.0f} % humidity)")
    air = air if by_heat_index else ("", "")
    return (
        f"{since[0]}から{span[0]}、{name[0]}が{limit:g}{side[0]}です。いま{value:.1f}℃{air[0]}。",
        f"For {span[1]}, since {since[1]}, the {name[1]} is {side[1]} {limit:g} °C; now {value:.1f} °C{air[1]}.",
    )


def _count(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    count, limit, usual, window = (facts[f] for f in ("count", "limit", "usual", "window_minutes"))
    door = ("玄関も使われました。", " The front door was used.") if facts["door"] > 0 else ("", "")
    sentence_ja = (
        f"夜間、{since[0]}から、ベッドの外で動いている時間が{window:.0f}分間のうち{count:.0f}分あります。"
        f"この方の夜は多くても{usual:.0f}分ほどです（目安{limit:.0f}分）。{door[0]}"
    )
    sentence_en = (
        f"Up and about at night since {since[1]}: {count:.0f} of {window:.0f} min; usually at most about "
        f"{usual:.0f} min (limit {limit:.0f} min).{door[1]}"
    )
    return sentence_ja, sentence_en


def _drift(facts: Mapping[str, float], metric: Metric, hours: float) -> tuple[str, str]:
    value, usual, weeks = facts["value"], facts["usual"], facts["weeks"]
    told_ja, told_en, unit = metric.title_ja, metric.title_en, metric.unit
    if metric.nature == "state":  # a share of the time: said in hours
        value, usual, unit = value * hours, usual * hours, "h"
        told_ja, told_en = f"{told_ja}時間", f"time {told_en}"
    sides = ("多い", "more") if value > usual else ("少ない", "less")
    sentence_ja = (
        f"{told_ja}が、ふだん（1日平均{usual:.1f} {unit}）より{sides[0]}状態が{weeks:.0f}週ほど続いています。"
        f"直近の週は{value:.1f} {unit}でした。"
    )
    sentence_en = (
        f"{told_en.capitalize()} has been {sides[1]} than usual for about {weeks:.0f} weeks: {value:.1f} {unit} a day "
        f"in the last week, usually {usual:.1f}."
    )
    return sentence_ja, sentence_en
