"""`mimamori conform`: a device vendor's kit. Watches devices, or a recording of their messages, and tells what to mend.

May import everything from site down.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import click

from mimamori.judge.report import STYLE
from mimamori.listen import listen, read_recording, write_recording
from mimamori.sensors.conformance import examine, worst
from mimamori.sensors.heard import Heard, Report, Verdict
from mimamori.sensors.profile import TOPIC_ROOT, Profile
from mimamori.site import Site, SiteError, load_site
from mimamori.stream.clock import wall

_SIGNS: Mapping[Verdict, tuple[str, str]] = {
    "pass": ("合格", "#1a7f37"), "warn": ("注意", "#9a6700"), "fail": ("不合格", "#cf222e"),
    "unseen": ("未確認", "#57606a"),
}  # fmt: skip
_TITLES = {
    "payload": "電文", "units and ranges": "単位と範囲", "empty bed": "空床時", "birth": "起動通知",
    "death": "切断通知", "cadence": "送信間隔", "clock": "時計", "back-fill": "後送り", "duplicates": "重複",
    "sequence": "通し番号", "size": "大きさ", "quality of service": "QoS", "retained readings": "保持された測定値",
}  # fmt: skip


@click.command()
@click.option(
    "--profile", "name", required=True, help="Name of the devices' profile: a file of sensors/ without .toml."
)
@click.option(
    "--broker", help="Watch this broker (mqtt:// or mqtts://, MQTT 5). Log-in: MIMAMORI_BROKER_USER, _PASSWORD."
)
@click.option("--seconds", default=600.0, show_default=True, type=click.FloatRange(min=0, min_open=True),
              help="How long to watch.")  # fmt: skip
@click.option("--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Judge this recording instead (JSON lines; mosquitto_sub -F %j will do).")  # fmt: skip
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Keep what was heard, as a recording.")
@click.option("--household", default="+", show_default=True, help="Only this household (+: all).")
@click.option("--device", default="+", show_default=True, help="Only this device (+: all).")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page (HTML).")
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of text.")
@click.option("--site", type=click.Path(file_okay=False, path_type=Path), help="Folder of the four content folders.")
def conform(  # noqa: PLR0917 - the command line's words
    name: str, broker: str | None, seconds: float, recording: Path | None, record: Path | None, household: str,
    device: str, report: Path | None, as_json: bool, site: Path | None,  # noqa: FBT001
) -> None:  # fmt: skip
    """Check devices against the contract of sensors/README.md. Exit status 1 if a check fails."""
    if (broker is None) == (recording is None):
        msg = "say what to judge: either --broker URL or --recording FILE"
        raise click.UsageError(msg)
    try:
        loaded = load_site(site)
        profile = _profile(loaded, name)
        if recording is not None:
            heard, standing = read_recording(recording), None
        else:
            topics = _topics(profile, household)
            click.echo(f"watching {', '.join(topics)} for {seconds:g} s", err=True)
            heard, standing = asyncio.run(
                listen(str(broker), topics, seconds, wall, username=os.environ.get("MIMAMORI_BROKER_USER"),
                       password=os.environ.get("MIMAMORI_BROKER_PASSWORD"))
            )  # fmt: skip
        if record is not None:
            write_recording(record, heard)
        wanted = [h for h in heard if _chosen(h.topic, household, device)]
        reports, strays = examine(wanted, standing, profile, loaded.metrics)
        if report is not None:
            report.write_text(as_page(name, reports, strays), encoding="utf-8")
    except SiteError as error:
        for mistake in error.errors:
            click.echo(str(mistake), err=True)
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:
        click.echo(f"mimamori: {error}", err=True)
        raise SystemExit(1) from None
    verdict = worst(reports, strays)
    click.echo(json.dumps(as_record(name, reports, strays), ensure_ascii=False, indent=1) if as_json
               else as_text(reports, strays))  # fmt: skip
    raise SystemExit(1 if verdict == "fail" else 0)


def _profile(site: Site, name: str) -> Profile:
    found = next((p for p in site.profiles if p.name == name), None)
    if found is None:
        msg = (
            f'no profile "{name}"; choose one of {", ".join(p.name for p in site.profiles)}, or add sensors/{name}.toml'
        )
        raise ValueError(msg)
    return found


def _topics(profile: Profile, household: str) -> list[str]:
    own = [entry.filter for entry in profile.mapping]
    # One household's devices may speak where nobody listens: all below it is heard, to say so.
    return [f"{TOPIC_ROOT}/{household}/#" if household != "+" else f"{TOPIC_ROOT}/#", *dict.fromkeys(own)]


def _chosen(topic: str, household: str, device: str) -> bool:
    parts = topic.split("/")
    if "/".join(parts[:2]) != TOPIC_ROOT or len(parts) < 4:
        return True
    return household in {"+", parts[2]} and device in {"+", parts[3]}


def as_record(name: str, reports: Sequence[Report], strays: Sequence[Heard]) -> dict[str, Any]:
    """The whole watch for programs."""
    return {
        "profile": name,
        "verdict": worst(reports, strays),
        "devices": [
            {
                "household": r.household, "device": r.device, "messages": r.messages, "verdict": r.verdict,
                "checks": [asdict(f) for f in r.findings],
            }
            for r in reports
        ],
        "unread_topics": sorted({h.topic for h in strays}),
    }  # fmt: skip


def as_text(reports: Sequence[Report], strays: Sequence[Heard]) -> str:
    """The whole watch for people, a line a check."""
    lines = []
    for r in reports:
        lines.append(f"{r.household}/{r.device}: {r.verdict} ({r.messages} messages)")
        for f in r.findings:
            lines.append(f"  {f.verdict:6}  {f.check:18}  {f.seen}")
            lines += [f"          {'':18}  -> {f.mend}"] if f.mend else []
    lines += [f"fail    topic nobody reads: {topic}" for topic in sorted({h.topic for h in strays})]
    if len(reports) > 1:
        counts = Counter(r.verdict for r in reports)
        lines.append(f"{len(reports)} devices: {', '.join(f'{n} {v}' for v, n in sorted(counts.items()))}")
    return "\n".join(lines or ["fail    nothing was heard; is the device connected to this broker?"])


def as_page(name: str, reports: Sequence[Report], strays: Sequence[Heard]) -> str:
    """The whole watch as a page that stands alone, Japanese with English beside it."""
    title = f"適合試験 Conformance: {escape(name)}"
    view = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    parts = [
        f'<!doctype html><html lang="ja"><head>{view}<title>{title}</title><style>{STYLE}{_STYLE}</style></head>',
        f"<body><h1>{title}</h1><p>総合 Overall: {_sign(worst(reports, strays))}</p>",
    ]
    if strays:
        rows = "".join(f"<li><code>{escape(t)}</code></li>" for t in sorted({h.topic for h in strays}))
        parts.append(f"<h2>どこにも読まれないトピック Topics nobody reads</h2><ul>{rows}</ul>")
    if not reports:
        parts.append("<p>電文は 1 つも届きませんでした。 Nothing was heard.</p>")
    for r in reports:
        parts.append(f"<h2><code>{escape(r.household)}/{escape(r.device)}</code> {_sign(r.verdict)}</h2>")
        parts.append(f"<p>電文 Messages: {r.messages}</p><table><thead><tr><th>項目 Check</th><th>判定</th>"
                     "<th>観測 Seen</th><th>直し方 Mend</th></tr></thead><tbody>")  # fmt: skip
        parts += [
            f"<tr><td>{_TITLES[f.check]}<br><small>{escape(f.check)}</small></td><td>{_sign(f.verdict)}</td>"
            f"<td>{escape(f.seen)}</td><td>{escape(f.mend)}</td></tr>"
            for f in r.findings
        ]
        parts.append("</tbody></table>")
    parts.append(_LAST)
    return "".join(parts)


_LAST = (
    "<p>「未確認」は、試験の間にその場面がなかったことを示します。 Unseen: it did not happen during the watch.</p>"
    "</body></html>\n"
)
_STYLE = (
    "td,th{text-align:left;vertical-align:top;overflow-wrap:anywhere}b{white-space:nowrap}table{width:100%}"
    "@media(max-width:40rem){thead{display:none}tr,td{display:block;border:0}"
    "tr{border-bottom:1px solid #bbb;padding:.4rem 0}}"
)


def _sign(verdict: Verdict) -> str:
    word, colour = _SIGNS[verdict]
    return f'<b style="color:{colour}">{word} {verdict}</b>'
