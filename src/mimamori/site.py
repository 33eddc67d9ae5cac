"""Finds the four content folders, reads and cross-checks them, and hands out one frozen Site with a digest.

May import everything from simulator down. The only place that reads content files.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimamori.alerts.policy import AlertContent, read_alerts
from mimamori.alerts.seen import RuleInfo
from mimamori.model.content import ContentError
from mimamori.model.metrics import Metrics
from mimamori.model.times import Zone
from mimamori.rules.backing import Gate
from mimamori.rules.explain import explain_of
from mimamori.rules.kinds import facts_of
from mimamori.rules.spec import Flapping, Outage, Rule, read_rules
from mimamori.rules.tune import bound_errors
from mimamori.sensors.profile import Profile, declared_metrics, read_profiles
from mimamori.simulator.scene import Scene, read_simulator

FOLDERS = ("sensors", "rules", "alerts", "simulator")


class SiteError(Exception):
    """The content cannot be used; `errors` holds every mistake."""

    def __init__(self, folder: Path, errors: list[ContentError]) -> None:
        super().__init__(f"{folder}: {len(errors)} mistake(s) in the content")
        self.folder, self.errors = folder, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All content of one site, read and consistent. digest: sha256 over names and bytes of its files."""

    folder: Path
    found_by: str
    digest: str
    zone: Zone
    metrics: Metrics
    profiles: tuple[Profile, ...]
    rules: tuple[Rule, ...]
    rule_infos: tuple[RuleInfo, ...]
    alerts: AlertContent
    scene: Scene

    @property
    def gates(self) -> tuple[Gate, ...]:
        """When the vital signs of a device count, for the engine: the `[backing]` of the profiles that have one."""
        return tuple(
            Gate(profile=p.name, metrics=b.metrics, by=b.by, at_least=b.at_least, share=b.share, within=b.within)
            for p in self.profiles
            if (b := p.backing) is not None
        )

    @property
    def profile_names(self) -> frozenset[str]:
        """The device models this site knows."""
        return frozenset(p.name for p in self.profiles)


def find_content(site: Path | None) -> tuple[Path, str]:
    """(folder that holds the four content folders, how it was found): --site, MIMAMORI_SITE, checkout, package.

    Raises FileNotFoundError naming what is missing.
    """
    asked = site or (Path(os.environ["MIMAMORI_SITE"]) if os.environ.get("MIMAMORI_SITE") else None)
    if asked is not None:
        missing = [f for f in FOLDERS if not (asked / f).is_dir()]
        if missing:
            msg = f"{asked} has no folder {', '.join(missing)}; make a site with: mimamori init {asked}"
            raise FileNotFoundError(msg)
        return asked, "--site" if site else "MIMAMORI_SITE"
    checkout = Path(__file__).resolve().parents[2]
    if all((checkout / f).is_dir() for f in FOLDERS) and (checkout / "pyproject.toml").is_file():
        return checkout, "checkout"
    return Path(str(importlib.resources.files("mimamori"))) / "_content", "package"


def load_site(site: Path | None = None) -> Site:
    """The site, or SiteError with every mistake in every folder at once."""
    folder, found_by = find_content(site)
    errors: list[ContentError] = []
    digest = hashlib.sha256()
    tables = {name: _read_folder(folder / name, errors, digest) for name in FOLDERS}
    profiles, wrong_profiles = read_profiles(tables["sensors"])
    metrics = Metrics(more=declared_metrics(profiles))
    rules, wrong_rules = read_rules(tables["rules"], metrics)
    alerts, wrong_alerts = read_alerts(tables["alerts"])
    scene, wrong_scene = read_simulator(tables["simulator"])
    errors += [
        *wrong_profiles,
        *wrong_rules,
        *(e for r in rules for e in bound_errors(r)),
        *_placed(wrong_alerts, "alerts"),
        *wrong_scene,
    ]
    if errors or alerts is None:
        raise SiteError(folder, errors)
    zone = alerts.roster.zone  # one place, one clock: the roster's zone is the site's
    return Site(
        folder=folder, found_by=found_by, digest=digest.hexdigest(), zone=zone, metrics=metrics, profiles=profiles,
        rules=rules, rule_infos=tuple(_info(r, zone, metrics, rules) for r in rules), alerts=alerts, scene=scene,
    )  # fmt: skip


def _placed(errors: list[ContentError], folder: str) -> list[ContentError]:
    return [
        e if e.file.startswith(f"{folder}/") else ContentError(f"{folder}/{e.file}", e.key, e.reason, e.mend)
        for e in errors
    ]


def _read_folder(folder: Path, errors: list[ContentError], digest: Any) -> Mapping[str, Mapping[str, Any]]:
    tables = {}
    for path in sorted(folder.glob("*.toml")):
        content = path.read_bytes()
        digest.update(f"{folder.name}/{path.name}:{len(content)}:".encode() + content)
        try:
            tables[path.stem] = tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            mend = "correct the syntax (TOML 1.0), and save the file as UTF-8"
            errors.append(ContentError(f"{folder.name}/{path.name}", "", str(error), mend))
    return tables


def _info(rule: Rule, zone: Zone, metrics: Metrics, rules: Sequence[Rule]) -> RuleInfo:
    urgent = rule.category == "resident" and rule.priority == "high"
    return RuleInfo(
        name=rule.name, category=rule.category, title_ja=rule.title.ja, title_en=rule.title.en,
        explain=explain_of(rule, zone, metrics, rules), facts=facts_of(rule), clears="person" if urgent else "itself",
        gathers=rule.condition.of if isinstance(rule.condition, Outage) else "",
        steadies=rule.condition.of if isinstance(rule.condition, Flapping) else (),
    )  # fmt: skip


def copy_content(folder: Path) -> list[Path]:
    """Copy the content in force into a new site folder, to edit. Raises FileExistsError rather than overwrite."""
    source, _ = find_content(None)
    taken = [name for name in FOLDERS if (folder / name).exists()]
    if taken:
        msg = f"{folder} already holds {', '.join(taken)}; choose an empty folder"
        raise FileExistsError(msg)
    copied = []
    for name in FOLDERS:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        copied.append(folder / name)
    return copied
