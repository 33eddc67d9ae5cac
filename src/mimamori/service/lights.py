"""The lights of the console: what of the service itself is well, and what is not, with since when.

May import web's desk. Reads no clock but the one it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mimamori.stream.clock import Clock
from mimamori.web.desk import Light


@dataclass(slots=True)
class Lights:
    """One a part, by name; those of what may not be there at all appear when it first goes wrong."""

    clock: Clock
    held: dict[str, Light] = field(default_factory=dict)

    def shown(self) -> tuple[Light, ...]:
        """All, in the order in which they first appeared."""
        return tuple(self.held.values())

    def store(self, error: Exception | None = None) -> None:
        """Whether readings are stored."""
        if error is None:
            self._tell("store", "保存できています", "readings are stored", ok=True)
        else:
            self._tell("store", f"保存できません: {type(error).__name__}", f"cannot store: {error}", ok=False)

    def ledger(self, error: Exception | None = None) -> None:
        """Whether the ledger is written."""
        if error is None:
            self._tell("ledger", "台帳に書けています", "the ledger is written", ok=True)
        else:
            self._tell("ledger", "台帳に書けません", f"cannot write the ledger: {error}", ok=False)

    def broker(self, *, connected: bool) -> None:
        """Whether messages can come."""
        self._tell(
            "broker", "ブローカーに接続中" if connected else "ブローカーに接続できません",
            "connected to the broker" if connected else "no connection to the broker", ok=connected,
        )  # fmt: skip

    def history(self, trouble: str) -> None:
        """Whether readings reach their final place; trouble: why not, "" if they do."""
        self._tell(
            "history", "履歴に移せません。手元には保存されています" if trouble else "履歴に移せています",
            f"durable, but not in its final place: {trouble}" if trouble else "readings reach their final place",
            ok=not trouble,
        )  # fmt: skip

    def shadows(self, broken: str) -> None:
        """What stopped the shadow rules; "" while they work."""
        ja = f"試し運転の決まりが止まりました: {broken}" if broken else ""
        self._fault("shadows", ja, f"shadow rules stopped: {broken}")

    def changes(self, ja: str, en: str) -> None:
        """Settings that no longer fit the files, by both languages' words; "" if all do."""
        self._fault(
            "changes", f"ファイルに合わなくなった設定は使っていません: {ja}" if ja else "",
            f"settings that no longer fit the files are not used: {en}",
        )  # fmt: skip

    def _fault(self, name: str, ja: str, en: str) -> None:
        """A light for what may not be there at all: none until it first goes wrong; "" is well."""
        if ja or name in self.held:
            self._tell(name, ja or "異常なし", en if ja else "all is well", ok=not ja)

    def _tell(self, name: str, ja: str, en: str, *, ok: bool) -> None:
        held = self.held.get(name)
        if held is None or (held.ok, held.text_en) != (ok, en):
            self.held[name] = Light(name=name, ok=ok, text_ja=ja, text_en=en, since=self.clock.now())
