"""An evaluation as one HTML page that stands alone: tables, plots, no script, nothing fetched. Pure.

May import evaluate, sweep, plots and model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mimamori.judge.evaluate import Evaluation
from mimamori.judge.plots import Series, bars, curves
from mimamori.judge.scores import rate, rate_of_all
from mimamori.judge.sweep import AS_SHIPPED, Outing, Point

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}table{border-collapse:collapse}"
    "td,th{padding:.2rem .7rem;border-bottom:1px solid #bbb;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto}.wide td,.wide th{white-space:nowrap}"
    ":root{color-scheme:light dark}"
)  # what is wider than a telephone is moved by itself, not the page


def as_page(made: Evaluation, points: Sequence[Point], outings: Sequence[Outing] = (), *, name: str) -> str:
    """The page, Japanese with English beside it. name: of the file that was replayed."""
    load = made.load
    summary = [
        ("世帯数 Households", f"{made.households}"),
        ("通常の日数 Household-days of ordinary time", f"{made.household_days:.1f} / {made.watched_days:.1f}"),
        ("本人の誤報 False calls about the resident, in 30 household-days (95 %)", rate(made.resident)),
        ("同、メモも含む The same, with notes", rate_of_all(made.resident)),
        ("1 勤務 8 時間あたりの呼出 Calls in a shift, all households", f"{load.in_a_shift:.2f}" if load else "-"),
        (f"看護師 1 人 ({load.households_a_nurse if load else 0} 世帯) For one nurse",
         f"{load.for_a_nurse:.2f}" if load else "-"),
        ("バイタル警報 (1 人 1 日) Vital alerts a resident-day",
         "-" if made.vital_per_day is None else f"{made.vital_per_day:.3f}"),
    ]  # fmt: skip
    title = f"評価 Evaluation: {escape(name)}"
    return (
        '<!doctype html><html lang="ja"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        + _table(("", ""), summary, wide=False)
        + "<h2>発見 What was found</h2>" + _found(made)
        + "<h2>呼出 Calls</h2>" + _calls(made)
        + "<h2>見落とし Missed</h2>" + _missed(made)
        + _curve(points) + _outings(outings)
        + "<p>安否確認であり、医療機器ではありません。 Safety confirmation, not a medical device.</p></body></html>\n"
    )  # fmt: skip


def _wide(what: str) -> str:
    return f'<div class="wide" tabindex="0">{what}</div>' if what else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, wide: bool = True) -> str:
    first = "".join(f"<th>{escape(c)}</th>" for c in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"
    return _wide(table) if wide else table


def _found(made: Evaluation) -> str:
    rows, shares = [], []
    for kind in (*made.kinds, made.emergencies):
        if kind.sensitivity is None or kind.sensitivity_95 is None or kind.delay_hours is None:
            continue
        low, high = kind.sensitivity_95
        d = kind.delay_hours
        rows.append((kind.kind, f"{kind.found} / {kind.events}", f"{kind.sensitivity:.3f} ({low:.3f}-{high:.3f})",
                     f"{d['median']:.2f}", f"{d['p90']:.2f}", f"{d['max']:.2f}"))  # fmt: skip
        shares.append((kind.kind, kind.sensitivity, low, high))
    head = ("出来事 Event", "発見 Found", "感度 Sensitivity (95 %)", "中央値 h Median", "90 % h", "最長 h Longest")
    plot = bars(shares, title="Sensitivity by kind of event", x="感度 sensitivity, 95 % interval") if shares else ""
    return _table(head, rows) + _wide(plot)


def _calls(made: Evaluation) -> str:
    rules = (*made.rules, made.resident, made.all_calls)
    rows = [
        (r.rule, r.category, str(r.calls), str(r.false), rate(r), str(r.notes), str(r.false_notes), rate_of_all(r))
        for r in rules
    ]
    head = (
        "規則 Rule",
        "",
        "呼出 Calls",
        "誤報 False",
        "30 日あたり In 30 days (95 %)",
        "メモ Notes",
        "同 Without event",
        "合計 30 日あたり Both in 30 days (95 %)",
    )
    wrong = [
        (r.rule, r.false_per_30_days, *r.false_per_30_days_95)
        for r in rules if r.false_per_30_days is not None and r.false_per_30_days_95 is not None
    ]  # fmt: skip
    plot = bars(wrong, title="False calls by rule", x="誤報 false calls in 30 days, 95 % interval") if wrong else ""
    return _table(head, rows) + _wide(plot)


def _missed(made: Evaluation) -> str:
    if not made.missed:
        return "<p>なし None.</p>"
    kinds = sorted({e.kind for e in made.missed})
    counts = [(kind, str(sum(e.kind == kind for e in made.missed)),
               ", ".join(sorted(e.household for e in made.missed if e.kind == kind))) for kind in kinds]  # fmt: skip
    return _table(("出来事 Event", "件 Events", "世帯 Households"), counts)


def _curve(points: Sequence[Point]) -> str:
    if not points:
        return ""
    head = (
        "1 回 / 日 One in days (power alone)",
        "誤報 / 30 日 False (95 %)",
        "発見 Found",
        "中央値 h",
        "90 % h",
    )
    rows, middle, tail = [], [], []
    for p in points:
        if p.false_per_30_days is None or p.false_per_30_days_95 is None or p.delay_hours is None:
            continue
        low, high = p.false_per_30_days_95
        rows.append((f"{p.one_in_days:.4g} ({p.power_alone_one_in_days:.4g})",
                     f"{p.false_per_30_days:.2f} ({low:.2f}-{high:.2f})", f"{p.found} / {p.events}",
                     f"{p.delay_hours['median']:.2f}", f"{p.delay_hours['p90']:.2f}"))  # fmt: skip
        middle.append((p.false_per_30_days, p.delay_hours["median"], f"x{p.factor:g}"))
        tail.append((p.false_per_30_days, p.delay_hours["p90"], f"x{p.factor:g}"))
    series = (Series(name="中央値 median", points=tuple(middle)), Series(name="90 %", points=tuple(tail)))
    return (
        "<h2>遅れと誤報 Delay against false alarms</h2><p>生活の動きなしの規則だけ。起きられず寝返りを打つ人"
        "(no-rise)は、ベッドの規則でしか見つかりません。 The rules about inactivity alone, at several budgets "
        "in one replay. Whoever cannot rise and turns in bed (no-rise) is found by the rules about the bed only.</p>"
        + _wide(curves(series, title="Delay against false alarms", x="誤報 false alarms in 30 days", y="遅れ delay, h"))
        + _table(head, rows)
    )  # fmt: skip


def _outings(outings: Sequence[Outing]) -> str:
    rows: list[tuple[str, ...]] = []
    spots: list[tuple[float, float, str]] = []
    shipped: list[tuple[float, float, str]] = []
    for p in outings:
        if p.false_per_30_days is None or p.delay_hours is None:
            continue
        limit = "今の設定 as shipped" if p.limit_hours == AS_SHIPPED else f"{p.limit_hours:g}"
        rows.append((limit, f"{p.false_per_30_days:.2f} ({p.false})", f"{p.found} / {p.events}",
                     f"{p.delay_hours['median']:.2f}", f"{p.delay_hours['p90']:.2f}"))  # fmt: skip
        spot = (p.false_per_30_days, p.delay_hours["p90"], limit)
        (shipped if p.limit_hours == AS_SHIPPED else spots).append(spot)
    if not rows:
        return ""
    head = ("外出の上限 h Limit of an outing", "誤報 / 30 日 False", "発見 Found", "中央値 h", "90 % h")
    series = (Series(name="上限 limit, h", points=tuple(spots)), Series(name="今の設定", points=tuple(shipped)))
    return (
        "<h2>外出の上限 Limits of an outing</h2><p>生活の動きなしの規則だけ。 The rules about inactivity alone.</p>"
        + _wide(curves(series, title="Delay by limit of an outing", x="誤報 false alarms in 30 days", y="90 % h"))
        + _table(head, rows)
    )  # fmt: skip
