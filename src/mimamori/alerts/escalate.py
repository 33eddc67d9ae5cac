"""What falls due next on an alert: the next step, a repeat, the end of an acknowledgement or of shelving.

May import model, policy and roster. Pure; time is compared with due times at each tick, there are no timers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mimamori.alerts.policy import Limits, Policy
from mimamori.model.alert import Alert
from mimamori.model.times import DAY, NEVER, Zone, format_duration


@dataclass(frozen=True, slots=True)
class Due:
    """What is due and when. step: the step to be taken, -1 where it is none."""

    at: int
    what: Literal["step", "ack-expired", "unshelved", "forget"]
    step: int = -1
    reason: str = ""


def next_due(alert: Alert, policy: Policy, limits: Limits, zone: Zone) -> Due | None:
    """The next thing that time alone brings about; None when only people or readings can change this alert.

    A condition that returned stops the steps: it stays visible, but nobody else is called out for it.
    """
    if alert.state == "resolved":
        return Due(alert.resolved_at + limits.keep_closed, "forget")
    if alert.shelved_until != NEVER:
        return Due(alert.shelved_until, "unshelved", reason="shelving ended")
    if alert.state == "acknowledged":
        span = format_duration(alert.ack_until - alert.acknowledged_at)
        return Due(alert.ack_until, "ack-expired", reason=f"acknowledged {span} ago by {alert.owner}, no result")
    if alert.returned_at != NEVER:
        return None
    return next_step(alert, policy, zone)


def next_step(alert: Alert, policy: Policy, zone: Zone) -> Due | None:
    """The step that follows without an answer, the first after the last; None where the policy does not repeat."""
    following = alert.step + 1
    if not following and alert.asked_until != NEVER:
        return Due(_awake(alert.asked_until, 0, policy, zone), "step", 0, "the resident did not answer")
    if following < len(policy.step):
        wait = policy.step[following].after
        reason = f"no acknowledgement after {format_duration(wait)}" if following else "first call"
        return Due(_awake(alert.step_at + wait, following, policy, zone), "step", following, reason)
    repeat = policy.repeat
    if repeat is None:
        return None
    wait_again = repeat.every if alert.round < repeat.times else repeat.then_every
    if wait_again is None:
        return None
    reason = f"again: no acknowledgement after {format_duration(wait_again)}"
    return Due(_awake(alert.step_at + wait_again, 0, policy, zone), "step", 0, reason)


def quiet(at: int, policy: Policy, zone: Zone) -> bool:
    """Whether `at` falls into the policy's quiet hours."""
    if policy.quiet is None:
        return False
    begin, end = policy.quiet
    return any(begin <= time < end for time in (zone.time_of_day(at), zone.time_of_day(at) + DAY))


def _awake(at: int, step: int, policy: Policy, zone: Zone) -> int:
    """`at`, or the end of the quiet hours it falls into; a line on the console disturbs nobody and never waits."""
    if policy.quiet is None or not policy.step[step].tell:
        return at
    begin, end = policy.quiet
    for time in (zone.time_of_day(at), zone.time_of_day(at) + DAY):  # the second for hours that began yesterday
        if begin <= time < end:
            return at + end - time
    return at
