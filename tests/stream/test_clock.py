"""The service's clock on a wall that is set forwards and back."""

from __future__ import annotations

import pytest

from mimamori.model.times import HOUR, SECOND
from mimamori.stream import clock as part
from mimamori.stream.clock import MILLISECOND, Clock


class Machine:
    """The machine's clocks, as the standard library tells them."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_795_000_000 * SECOND, 77

    def time_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.steady

    def passes(self, span: int) -> None:
        self.wall += span
        self.steady += span


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(part, "time", machine)
    return machine


def test_a_wall_set_back_an_hour_slows_the_clock_and_never_stops_it(machine: Machine) -> None:
    clock = Clock()
    begun = clock.now()
    machine.passes(SECOND)
    assert clock.now() - begun == SECOND
    machine.wall -= HOUR
    told = [clock.now()]
    for _ in range(10_000):  # asked so often that each step alone would be rounded away
        machine.passes(100_000)
        told.append(clock.now())
    assert told == sorted(told)
    assert told[-1] - told[0] == SECOND // 2
    for _ in range(3 * 3600):
        machine.passes(SECOND)
        clock.now()
    assert clock.now() == machine.wall // MILLISECOND * MILLISECOND, "caught up with"


def test_a_wall_set_forward_is_followed_at_once(machine: Machine) -> None:
    clock = Clock()
    clock.now()
    machine.wall += HOUR
    assert clock.now() == machine.wall


def test_what_an_earlier_process_told_is_not_told_again(machine: Machine) -> None:
    clock = Clock()
    clock.not_before(machine.wall + HOUR)
    assert clock.now() == machine.wall + HOUR
    machine.passes(2 * SECOND)
    assert clock.now() == machine.wall - 2 * SECOND + HOUR + SECOND
