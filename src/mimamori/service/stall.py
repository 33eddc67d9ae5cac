"""Our own silence: the loop did not tick, so nobody was watched. Told while it lasts if it can be, else afterwards.

May import model and alerts. Pure: `now` and the last tick come in; what the book makes of it is stored like all else.
"""

from __future__ import annotations

from dataclasses import dataclass

from mimamori.alerts.book import Book
from mimamori.alerts.seen import RuleInfo
from mimamori.model.alert import AlertEvent
from mimamori.model.findings import Level
from mimamori.model.times import MINUTE, NEVER, Zone

PIPELINE_STALLED = "pipeline-stalled"
LONGEST = MINUTE
"""Between two ticks: longer is time in which nobody watched (a full disk, a set clock, a machine that slept)."""


@dataclass(slots=True)
class Stall:
    """Raises a technical high alert when the last tick lies too far back; it ends after a minute of ticks in time."""

    zone: Zone
    _said: int = NEVER

    def look(self, book: Book, ticked: int, now: int, speed: float = 1.0) -> list[AlertEvent]:
        """Events, if it has begun or ended. ticked: ns, when the engine was last stepped; NEVER before the first."""
        longest = LONGEST * max(1.0, speed)
        long = ticked != NEVER and now - ticked > longest
        if long and self._said == NEVER:
            self._said = now
            return book.report(_rule(self.zone, ticked, now), "", Level.HIGH, ticked, now)
        if not long and self._said != NEVER and now - self._said >= longest:
            self._said = NEVER
            return book.report(_rule(self.zone, ticked, now), "", Level.NONE, ticked, now)
        return []


def _rule(zone: Zone, since: int, now: int) -> RuleInfo:
    at, seconds = zone.time_of_day(since) // MINUTE, (now - since) // (MINUTE // 60)
    clock = f"{at // 60:02d}:{at % 60:02d}"
    return RuleInfo(
        name=PIPELINE_STALLED, category="technical", title_ja="見守りの処理が停止", title_en="The watch itself stalled",
        explain=lambda _facts, _since, _at: (
            (f"{clock}から{seconds}秒、見守りの処理が進んでいません。その間の世帯のようすは「不明」です（静かだったとは"
            "数えません）。保存先の空き容量とサーバーの状態を確認してください。"),
            (f"The service has not judged anything for {seconds} s, since {clock}. What happened in the homes is "
            "unknown, not quiet. Look at the disk's free space and at the server."),
        ),
        facts=(), clears="itself",
    )  # fmt: skip
