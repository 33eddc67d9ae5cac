"""Who is watched: dense row numbers for households and their devices.

Rows are process-local and never reused; what is stored and sent are ids. Never reads a clock.
"""

from __future__ import annotations

import re

ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}\Z")


class Homes:
    """Append-only registry: household id <-> row (int32), (household row, device id) <-> device row (int32).

    `profile_of[d]` names the profile that device `d` was registered with, "" if it came without one (reading files).
    `district_of[h]` is the index in `districts` of household `h`, -1 where none is known.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.device_ids: list[str] = []
        self.device_home: list[int] = []
        self.profile_of: list[str] = []
        self.districts: list[str] = []
        self.district_of: list[int] = []
        self.placed = 0  # how often a household was placed in a district
        self.retired: set[int] = set()  # device rows out of use; the rows stay, what they send is refused
        self._rows: dict[str, int] = {}
        self._devices: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def devices(self) -> int:
        """How many devices are known."""
        return len(self.device_ids)

    def add(self, household: str) -> int:
        """Row of a household, new or known. Raises ValueError for an id that topics and links cannot carry."""
        row = self._rows.get(household)
        if row is None:
            if not ID.match(household):
                msg = f'household id "{household[:80]}" may hold letters, digits, . _ ~ - only (at most 64)'
                raise ValueError(msg)
            row = self._rows[household] = len(self.ids)
            self.ids.append(household)
            self.district_of.append(-1)
        return row

    def place(self, household: str, district: str) -> None:
        """Which district a known household lies in; "" for none. Homes that lose their power together share one."""
        row = self._rows.get(household, -1)
        if district and district not in self.districts:
            self.districts.append(district)
        index = self.districts.index(district) if district else -1
        if row >= 0 and self.district_of[row] != index:
            self.district_of[row] = index
            self.placed += 1

    def add_device(self, household: str, device: str, profile: str = "") -> int:
        """Device row, new or known (a known one keeps its profile unless it had none)."""
        home = self.add(household)
        row = self._devices.get((home, device))
        if row is None:
            if not ID.match(device):
                msg = f'device id "{device[:80]}" may hold letters, digits, . _ ~ - only (at most 64)'
                raise ValueError(msg)
            row = self._devices[home, device] = len(self.device_ids)
            self.device_ids.append(device)
            self.device_home.append(home)
            self.profile_of.append(profile)
        elif profile and not self.profile_of[row]:
            self.profile_of[row] = profile
        return row

    def retire(self, household: str, device: str, *, retired: bool = True) -> None:
        """Take a known device out of use, or back into it."""
        row = self.find_device(household, device)
        if row >= 0:
            (self.retired.add if retired else self.retired.discard)(row)

    def find(self, household: str) -> int:
        """Row, or -1."""
        return self._rows.get(household, -1)

    def find_device(self, household: str, device: str) -> int:
        """Device row, or -1."""
        return self._devices.get((self._rows.get(household, -1), device), -1)
