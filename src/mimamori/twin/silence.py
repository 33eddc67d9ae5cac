"""Twins of the kinds about silence: of a device, of a home, of many homes; and of flapping, which looks at others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mimamori.model.findings import Level, Verdict
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules import flapping, outage
from mimamori.rules.cause import ALL, ITSELF, MANY, NOTHING
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import CutOff, Flapping, Outage, Rule, Silent
from mimamori.twin.vitals import Judged

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


def cut(home: HomeTwin, cause: int) -> None:
    """From now on none of its sensors is believed, and none is blamed."""
    home.cause, home.silent, home.fresh = cause, set(home.heard), True
    home.spoke |= set(home.heard)


def rejoin(home: HomeTwin, at: int) -> None:
    """Heard again: silence counts anew, but for what was late before."""
    home.cause, home.counts_from, home.fresh = NOTHING, at, True
    home.late_from |= {device: at for device in home.heard if device not in home.late}
    home.silent &= home.late
    home.spoke |= set(home.heard)


class SilentTwin:
    """`kind = "silent"`: when each device was heard, and its longest recent pause."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Silent)
        self.spec, self.level = rule.condition, int(LEVELS[rule.priority])

    def judge(self, home: HomeTwin, at: int) -> Mapping[int, Judged]:
        return {device: self.judge_one(home, device, at) for device in home.heard}

    def judge_one(self, home: HomeTwin, device: int, at: int) -> Judged:
        limit = min(max(home.period.get(device, 0) * self.spec.periods, self.spec.at_least), self.spec.at_most)
        since = max(home.heard[device], home.late_from.get(device, NEVER))
        late = at - since > limit or (device in home.offline and not home.gone)
        late = late and (device in home.late or home.cause == NOTHING)
        silent = late or home.cause != NOTHING
        home.fresh |= silent != (device in home.silent)
        (home.silent.add if silent else home.silent.discard)(device)
        (home.late.add if late else home.late.discard)(device)
        verdict = Verdict.FIRING if late else Verdict.CLEAR if home.cause == NOTHING else Verdict.UNKNOWN
        return verdict, self.level if late else 0, home.heard[device]


class CutOffTwin:
    """`kind = "cut-off"`: the home as one voice."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, CutOff)
        self.spec, self.level, self.firing = rule.condition, int(LEVELS[rule.priority]), False

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        spec, quiet = self.spec, home.quiet(at)
        known = home.keeps_time and home.pause * spec.periods <= spec.at_most
        alone = quiet > max(home.pause * spec.periods, spec.at_least) or (home.gone and quiet >= spec.offline_for)
        alone = known and alone
        was, self.firing = self.firing, alone and (self.firing or home.cause <= ITSELF or quiet >= spec.held_for)
        if self.firing and not was:
            cut(home, ITSELF)
        if was and not self.firing:
            rejoin(home, at)
        verdict = Verdict.PENDING if alone else Verdict.CLEAR if known else Verdict.UNKNOWN
        level = max(int(Level.MEDIUM), self.level) if quiet >= spec.medium_after else self.level
        return (Verdict.FIRING, level, home.spoken) if self.firing else (verdict, 0, home.spoken)


class OutageTwin:
    """`kind = "outage"`: all homes, one after the other."""

    def __init__(self, rule: Rule, index: int) -> None:
        assert isinstance(rule.condition, Outage)
        self.spec, self.index, self.level = rule.condition, index, int(LEVELS[rule.priority])
        self.of_all = rule.condition.of == "everybody"
        self.told: dict[int, Verdict] = {}  # by row; whoever is not in it is not known

    def judge(self, homes: Sequence[HomeTwin], at: int) -> list[tuple[int, tuple[int, int, int, int, int]]]:
        """(home, finding) of what changed, by home."""
        hit = {row for row, verdict in self.told.items() if verdict is Verdict.FIRING}
        hit -= self.back(homes, hit, at)
        missing = {row for row, home in enumerate(homes) if self.misses(home, at)}
        if missing:
            new = self.everybody(homes, missing, hit, at) if self.of_all else self.together(homes, missing, hit, at)
            for row in new:
                cut(homes[row], ALL if self.of_all else MANY)
            hit |= new
        found = []
        for row, home in enumerate(homes):
            before = self.told.get(row, Verdict.UNKNOWN)
            now = Verdict.FIRING if row in hit else Verdict.CLEAR if home.keeps_time else Verdict.UNKNOWN
            if now is not before:
                self.told[row] = now
                level = self.level if now is Verdict.FIRING else 0
                found.append((row, (at, self.index, int(now), level, home.spoken)))
        return found

    def back(self, homes: Sequence[HomeTwin], hit: set[int], at: int) -> set[int]:
        heard = {row for row, home in enumerate(homes) if home.spoken > at - MINUTE}
        back = (hit if heard else set()) if self.of_all else hit & heard
        for row in back:
            if homes[row].cause == (ALL if self.of_all else MANY):
                rejoin(homes[row], at)
        return back

    def misses(self, home: HomeTwin, at: int) -> bool:
        limit = max(home.pause * self.spec.periods, self.spec.quiet_for)
        lately = limit < home.quiet(at) <= limit + self.spec.within
        return home.keeps_time and home.cause == NOTHING and home.spoken < at - self.spec.quiet_for and lately

    def everybody(self, homes: Sequence[HomeTwin], missing: set[int], hit: set[int], at: int) -> set[int]:
        known = sum(home.keeps_time and home.cause == NOTHING for home in homes)
        silent = all(home.spoken <= at - self.spec.quiet_for for home in homes)
        wills = sum(homes[row].gone for row in missing)
        enough = len(missing) >= max(self.spec.households, self.spec.share * known)
        if not (silent and enough) or hit or wills > outage.FEW_WILLS * len(missing):
            return set()
        return {row for row, home in enumerate(homes) if home.spoken != NEVER and home.cause == NOTHING}

    def together(self, homes: Sequence[HomeTwin], missing: set[int], hit: set[int], at: int) -> set[int]:
        found: set[int] = set()
        heard = any(home.spoken > at - self.spec.quiet_for for home in homes)
        for district in {homes[row].district for row in missing}:
            mine = {row for row, home in enumerate(homes) if home.district == district}
            lost, known = mine & missing, sum(homes[r].keeps_time and homes[r].cause != ALL for r in mine)
            share = self.spec.share_of_all if district < 0 else self.spec.share
            lives = heard or sum(homes[r].gone for r in lost) >= max(outage.MANY_WILLS * len(lost), 1)
            begins = len(lost) >= self.spec.households and len(lost) >= share * known and lives
            if begins or mine & hit:
                found |= lost
        return found


class FlappingTwin:
    """`kind = "flapping"`: for each that is watched, the last looks, newest first: did it turn?"""

    every = MINUTE

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Flapping)
        self.spec, self.level = rule.condition, int(LEVELS[rule.priority])
        self.watched = [index for index, name in enumerate(home.names) if name in self.spec.of]
        self.on: set[tuple[int, int]] = set()  # (rule, device, -1 for the home)
        self.turned: set[tuple[int, int]] = set()
        self.known: set[int] = set()  # the rest by device
        self.heard: set[int] = set()
        self.since: dict[int, int] = {}  # of those that flap
        self.looks: dict[tuple[int, int], list[bool]] = {}

    def judge(self, home: HomeTwin, at: int) -> Mapping[int, Judged]:
        devices = list(home.heard) if self.spec.each == "device" else [-1]
        self.heard |= home.spoke if self.spec.each == "device" else {-1} if home.fresh else set()
        for key in [(index, device) for device in devices for index in self.watched]:
            self.watch(key, home.told.get(key, (Verdict.UNKNOWN, 0))[0])
        return {} if at % self.spec.look else {device: self.look(device, at) for device in devices}

    def watch(self, key: tuple[int, int], verdict: int) -> None:
        if verdict == Verdict.UNKNOWN:
            return
        self.known.add(key[1])
        if (verdict == Verdict.FIRING) != (key in self.on):
            self.turned.add(key)
            self.on ^= {key}

    def look(self, device: int, at: int) -> Judged:
        most, looks = 0.0, []
        for key in [(index, device) for index in self.watched]:
            mine = self.looks.setdefault(key, [])
            if key in self.turned or device in self.heard:
                mine.insert(0, key in self.turned)
                del mine[flapping.LOOKS :]
            self.turned.discard(key)
            share = 0.0
            for weight, turned in zip(flapping.WEIGHTS.tolist(), mine, strict=False):
                share += weight if turned else 0.0
            if share / flapping.LOOKS > most:
                most, looks = share / flapping.LOOKS, mine
        self.heard.discard(device)
        firing = most >= (self.spec.ends_below if device in self.since else self.spec.begins_at)
        if firing:
            self.since.setdefault(device, at - self.spec.look * max(k + 1 for k, turned in enumerate(looks) if turned))
        else:
            self.since.pop(device, None)
        verdict = Verdict.FIRING if firing else Verdict.PENDING if most >= self.spec.ends_below else Verdict.CLEAR
        verdict = verdict if device in self.known else Verdict.UNKNOWN
        return verdict, self.level if firing else 0, self.since.get(device, NEVER)
