"""What is said of silence and of what comes and goes: a sensor, a home, everybody, the same alert over and over.

May import nothing. Part of `explain`, which tells what each function is given.
"""

from __future__ import annotations

from collections.abc import Mapping


def span_of(hours: float) -> tuple[str, str]:
    """A length of time in Japanese and English, to the minute."""
    whole, minutes = divmod(round(hours * 60), 60)
    if not whole:
        return f"{minutes}分", f"{minutes} min"
    if not minutes:
        return f"{whole}時間", f"{whole} h"
    return f"{whole}時間{minutes}分", f"{whole} h {minutes} min"


def silent(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    """A sensor that says nothing."""
    minutes = facts["minutes"]
    span = span_of(minutes / 60)
    if facts["offline"] > 0:
        return (
            f"センサーの接続が切れました（最後の通信は{since[0]}）。このセンサーでは見守れません。",
            f"The sensor lost its connection (last heard {since[1]}). Nothing is known through it.",
        )
    return (
        f"{since[0]}からセンサーの通信がありません（{span[0]}）。このセンサーでは見守れません。",
        f"Nothing from this sensor for {span[1]}, since {since[1]}. Nothing is known through it.",
    )


def cut_off(facts: Mapping[str, float], since: tuple[str, str]) -> tuple[str, str]:
    """A home from which nothing comes."""
    span, pause = span_of(facts["minutes"] / 60), max(facts["pause_minutes"], 1)
    if facts["offline"] > 0:
        return (
            f"中継機器の接続が切れ、{since[0]}から住まいのどの機器からも通信がありません（{span[0]}）。この間は見守れません。",
            (
                f"The gateway lost its connection; nothing from any device of the home for {span[1]}, since {since[1]}."
                " Nobody is watched there."
            ),
        )
    return (
        (
            f"{since[0]}から、住まいのどの機器からも通信がありません（{span[0]}。ふだんは{pause:.0f}分以内に届きます）。"
            "この間は見守れません。"
        ),
        (
            f"Nothing from any device of the home for {span[1]}, since {since[1]}; usually something comes within "
            f"{pause:.0f} min. Nobody is watched there."
        ),
    )


def outage(facts: Mapping[str, float], since: tuple[str, str], *, everybody: bool) -> tuple[str, str]:
    """A district, or everybody, silent together."""
    homes, known = facts["households"], facts["known"]
    if everybody:
        return (
            (
                f"{since[0]}から、どの世帯からも通信がありません（{homes:.0f}世帯）。ブローカーか、そこまでの回線の停止と"
                "考えられます。この間はどなたも見守れません。"
            ),
            (
                f"Nothing from any household since {since[1]} ({homes:.0f} of them): the broker, or the line to it, is "
                "down. Nobody is watched meanwhile."
            ),
        )
    return (
        (
            f"{since[0]}ごろから、{known:.0f}世帯中{homes:.0f}世帯の通信が一斉に途絶えました。停電か通信障害の恐れが"
            "あります。ブローカーは動いています。"
        ),
        (
            f"{homes:.0f} of {known:.0f} households have fallen silent together since about {since[1]}: a power cut, or"
            " a line that they share. The broker works."
        ),
    )


def flapping(facts: Mapping[str, float], title: tuple[str, str]) -> tuple[str, str]:
    """What turns on and off; title: of the alert, in both languages."""
    turns, looks, each = int(facts["turns"]), int(facts["looks"]), span_of(facts["hours"] / facts["looks"])
    all_ja, all_en = span_of(facts["hours"])
    return (
        f"「{title[0]}」が出たり消えたりを繰り返しています（直近{all_ja}を{each[0]}ごとに見て、{looks}回のうち{turns}回で変化）。",
        f'"{title[1]}" turns on and off over and over: in {turns} of the last {looks} looks of {each[1]} ({all_en}).',
    )
