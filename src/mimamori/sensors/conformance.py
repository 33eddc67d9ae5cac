"""Does a device keep the contract of sensors/README.md? Messages in, a report for each device out.

May import model and the pure files of sensors. Pure: no clock, no broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mimamori.model.metrics import Metrics
from mimamori.sensors.checks import CHECKS
from mimamori.sensors.heard import WORST, Device, Heard, Report, Standing, Verdict, place_of, read
from mimamori.sensors.profile import Profile


def examine(
    heard: Sequence[Heard], standing: Standing, profile: Profile, metrics: Metrics
) -> tuple[list[Report], list[Heard]]:
    """A report for each device, and the messages that no device of the contract can have sent.

    heard: in order of arrival. profile: that of all devices heard.
    """
    devices: dict[tuple[str, str], Device] = {}
    strays: list[Heard] = []
    for message in heard:
        place = place_of(message.topic, profile)
        if place is None:
            strays.append(message)
            continue
        key = place[:2]
        known = devices.setdefault(key, Device(*key, profile, metrics))
        known.heard.append(message)
    reports = []
    for key in sorted(devices):
        device = devices[key]
        read(device, profile, metrics)
        findings = tuple(check(device, standing) for check in CHECKS.values())
        reports.append(Report(household=key[0], device=key[1], messages=len(device.heard), findings=findings))
    return reports, strays


def worst(reports: Iterable[Report], strays: Sequence[Heard]) -> Verdict:
    """The whole watch's verdict: fail too if nobody spoke, or somebody spoke on a topic that nobody reads."""
    verdicts = [r.verdict for r in reports]
    return "fail" if strays or not verdicts else max(verdicts, key=WORST.index)
