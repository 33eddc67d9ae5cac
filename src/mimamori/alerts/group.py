"""Many messages become few: limits a person, one cause in many households; what is held, and when it goes as one.

May import model and the pure parts beside it. Pure value of (drafts, history, book, now). A held message is a notice
with a later due time; one tick before it would go, those held for the same person are put into one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mimamori.alerts.book import Book
from mimamori.alerts.policy import RANK, Limit
from mimamori.alerts.text import bundle_text
from mimamori.model.alert import Alert
from mimamori.model.notice import Notice, NoticeState
from mimamori.model.times import DAY, NEVER, SECOND

GRACE = 10 * SECOND
"""A held notice falls due this long after it should be gathered: if nothing gathers it, it goes by itself."""
CALLS = frozenset({"first", "repeat", "escalated"})
"""The kinds that ask for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was planned of late. off: keys that were put into a bundle, cancelled or failed: they fill no limit.

    wake: when the first held notice is to be gathered; NEVER when nothing is held.
    """

    notices: tuple[Notice, ...] = ()
    off: frozenset[str] = frozenset()
    wake: int = NEVER

    def calls(self) -> Mapping[str, Sequence[Notice]]:
        """The calls about each alert, by itself or in a bundle, oldest first."""
        found: dict[str, list[Notice]] = defaultdict(list)
        for notice in self.notices:
            if notice.kind in CALLS:
                found[notice.alert].append(notice)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What goes to the outbox, what is withdrawn from it, and the history for the next time."""

    notices: tuple[Notice, ...]
    cancelled: tuple[str, ...]
    history: History


def recall(states: Iterable[NoticeState], now: int) -> History:
    """The history of stored notices, oldest first: at least those of open alerts and of the last hour."""
    kept = list(states)
    off = frozenset(s.notice.key for s in kept if s.status in {"cancelled", "failed"})
    return _history([s.notice for s in kept], off, now)


def remember(history: History, notices: Sequence[Notice]) -> History:
    """The history with messages that go without waiting: they fill the limits like all others."""
    return replace(history, notices=(*history.notices, *notices)) if notices else history


def gather(drafts: Sequence[Notice], withdrawn: Sequence[str], history: History, book: Book, now: int) -> Gathered:
    """Sends, holds or bundles. `withdrawn` are keys to cancel anyway; what was still held of them is forgotten."""
    gone = set(withdrawn)
    known = [n for n in history.notices if not (n.key in gone and n.due > now)]
    off = (history.off | gone) & {n.key for n in known}
    lanes: dict[tuple[str, str], list[Notice]] = defaultdict(list)
    for draft in drafts:
        lanes[draft.recipient, draft.channel].append(draft)
    for notice in known:
        if notice.due > now and notice.key not in off:
            lanes.setdefault((notice.recipient, notice.channel), [])
    waves = _waves(book, now)
    out: list[Notice] = []
    bundled: list[str] = []
    for (recipient, channel), new in lanes.items():
        if channel == "console":
            out += new
            continue
        lane = [n for n in known if n.recipient == recipient and n.channel == channel and n.key not in off]
        placed, members = _lane(new, lane, waves, book, now)
        out += placed
        bundled += members
    kept = _prune([*known, *out], book, now)
    off = (off | set(bundled)) & {n.key for n in kept}
    return Gathered(
        notices=tuple(out), cancelled=tuple(dict.fromkeys([*withdrawn, *bundled])), history=_history(kept, off, now)
    )


def _history(notices: Sequence[Notice], off: frozenset[str], now: int) -> History:
    ends = [n.due - GRACE for n in notices if n.due > now and n.key not in off]
    return History(notices=tuple(notices), off=off, wake=min(ends, default=NEVER))


def _waves(book: Book, now: int) -> frozenset[str]:
    """Rules that opened alerts in so many households within so short a time that they have one cause."""
    area = book.content.limits.area
    homes: Mapping[str, set[str]] = defaultdict(set)
    for alert in book.alerts():
        if alert.opened > now - area.within:
            homes[alert.rule].add(alert.household)
    return frozenset(rule for rule, where in homes.items() if len(where) >= area.households)


def _lane(
    new: list[Notice], lane: list[Notice], waves: frozenset[str], book: Book, now: int
) -> tuple[list[Notice], list[str]]:
    """One person on one channel: (notices for the outbox, keys of held ones that went into a bundle)."""
    limits = book.content.limits
    times = sorted(n.due for n in lane if n.due <= now)
    held = [n for n in lane if n.due > now]
    out: list[Notice] = []
    members: list[str] = []
    if any(n.due - GRACE <= now for n in held):
        placed, members = _bundle(held, book, now)
        out += placed
        times += [n.due for n in placed]
        held = []
    end = min((n.due - GRACE for n in held), default=NEVER)
    crowd = _crowd(new, limits.area.households)
    for notice in sorted(new, key=lambda n: -RANK[n.priority]):
        urgent = _first_high(notice, book.alert(notice.alert), lane, now)
        wave = notice.kind == "first" and _rule(notice) in waves and not urgent
        taken = times if end == NEVER else [*times, end]  # what is held will take its place in the limits, too
        free = next_free(taken, limits.sms, now + limits.area.gather if wave else now)
        if _rule(notice) in crowd:
            out.append(_hold(notice, now, f"one message for {crowd[_rule(notice)]} households"))
        elif urgent or (free <= now and not wave):
            out.append(notice)
            times.append(now)
        else:
            end = free if end == NEVER else end
            out.append(_hold(notice, end, "many households at once" if wave else "limit of messages to one person"))
    return out, members


def next_free(times: Sequence[int], limits: Sequence[Limit], now: int) -> int:
    """The first time from `now` on at which one message more keeps every limit. times: ns, of messages before."""
    free = now
    for limit in limits:
        recent = sorted(t for t in times if t > now - limit.within)
        if len(recent) >= limit.at_most:
            free = max(free, recent[-limit.at_most] + limit.within)
    return free


def _first_high(notice: Notice, alert: Alert | None, lane: Sequence[Notice], now: int) -> bool:
    """A household's first high alert about its resident: never held back by a limit."""
    if alert is None or notice.kind != "first" or notice.priority != "high" or alert.category != "resident":
        return False
    earlier = (n for n in lane if n.priority == "high" and n.kind in CALLS and n.due > now - DAY // 24)
    return all(n.alert.split("/", 1)[0] != alert.household for n in earlier)


def _crowd(new: Sequence[Notice], households: int) -> dict[str, int]:
    """Rules with so many calls in this one tick that they go as one message at the next."""
    alerts: Mapping[str, set[str]] = defaultdict(set)
    for notice in new:
        if notice.kind in CALLS:
            alerts[_rule(notice)].add(notice.alert)
    return {rule: len(ids) for rule, ids in alerts.items() if len(ids) >= households}


def _rule(notice: Notice) -> str:
    return notice.alert.split("/")[1]


def _hold(notice: Notice, end: int, why: str) -> Notice:
    return replace(notice, due=end + GRACE, reason=f"{notice.reason}; held: {why}")


def _bundle(held: Sequence[Notice], book: Book, now: int) -> tuple[list[Notice], list[str]]:
    """One message for all that was held; a single alert keeps its newest message, which goes when due."""
    alerts = [a for a in (book.alert(k) for k in dict.fromkeys(n.alert for n in held)) if a]
    if len(alerts) <= 1:
        return [], [n.key for n in held[:-1]]
    alerts.sort(key=lambda a: (-RANK[a.priority], a.opened, a.id))
    worst = next(n for n in held if n.alert == alerts[0].id)
    text = bundle_text(book.content.texts, [book.placed(a) for a in alerts], book.content.roster.zone, now)
    reason = f"{len(alerts)} alerts in one message"
    # the second of the plan makes the key of a bundle unique: one person gets at most one bundle a tick
    one = replace(
        worst, kind="bundle", priority=alerts[0].priority, round=now // SECOND, text=text, due=now, reason=reason
    )
    return [one], [n.key for n in held]


def _prune(notices: Sequence[Notice], book: Book, now: int) -> list[Notice]:
    """Those of the last hour, and of each open alert the newest call to each person: bounded by open alerts."""
    since = now - max([DAY // 24, *(limit.within for limit in book.content.limits.sms)])
    newest = {(n.alert, n.recipient, n.channel, n.priority): n.key for n in notices if n.kind in CALLS}
    kept = []
    for notice in notices:
        alert = book.alert(notice.alert)
        live = alert is not None and alert.state != "resolved"
        place = (notice.alert, notice.recipient, notice.channel, notice.priority)
        if notice.due > since or (live and newest.get(place) == notice.key):
            kept.append(notice)
    return kept
