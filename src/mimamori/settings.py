"""Settings of the process, from the environment only: addresses, keys, where data lies. Never in the content folders.

May import nothing of mimamori. Secrets are never printed: `repr` hides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `mimamori run` needs to know beside the site's content."""

    data: Path
    broker: str = ""
    broker_user: str = ""
    broker_password: str = field(default="", repr=False)
    ledger: str = ""
    influx_url: str = ""
    influx_bucket: str = "mimamori"
    influx_token: str = field(default="", repr=False)
    influx_org: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    twilio_account: str = ""
    twilio_token: str = field(default="", repr=False)
    twilio_from: str = ""
    twilio_url: str = ""
    twilio_voice_from: str = ""
    public_url: str = ""
    email_url: str = field(default="", repr=False)
    other_url: str = field(default="", repr=False)
    keep_readings: int = 400  # days; 0: for ever
    keep_figures: int = 1830

    @property
    def ledger_url(self) -> str:
        """Where the ledger is: as set, or SQLite in the data folder."""
        return self.ledger or f"sqlite:///{(self.data / 'ledger.sqlite').resolve()}"


VARIABLES: Mapping[str, str] = {
    "MIMAMORI_DATA": "data",
    "MIMAMORI_BROKER": "broker",
    "MIMAMORI_BROKER_USER": "broker_user",
    "MIMAMORI_BROKER_PASSWORD": "broker_password",
    "MIMAMORI_LEDGER": "ledger",
    "MIMAMORI_INFLUX_URL": "influx_url",
    "MIMAMORI_INFLUX_BUCKET": "influx_bucket",
    "MIMAMORI_INFLUX_TOKEN": "influx_token",
    "MIMAMORI_INFLUX_ORG": "influx_org",
    "MIMAMORI_HOST": "host",
    "MIMAMORI_PORT": "port",
    "MIMAMORI_TWILIO_ACCOUNT": "twilio_account",
    "MIMAMORI_TWILIO_TOKEN": "twilio_token",
    "MIMAMORI_TWILIO_FROM": "twilio_from",
    "MIMAMORI_TWILIO_URL": "twilio_url",
    "MIMAMORI_TWILIO_VOICE_FROM": "twilio_voice_from",
    "MIMAMORI_PUBLIC_URL": "public_url",
    "MIMAMORI_EMAIL_URL": "email_url",
    "MIMAMORI_OTHER_URL": "other_url",
    "MIMAMORI_KEEP_READINGS_DAYS": "keep_readings",
    "MIMAMORI_KEEP_FIGURES_DAYS": "keep_figures",
}


NUMBERS = (
    ("MIMAMORI_PORT", "port", "8080"),
    ("MIMAMORI_KEEP_READINGS_DAYS", "keep_readings", "400"),
    ("MIMAMORI_KEEP_FIGURES_DAYS", "keep_figures", "1830"),
)
LEAST_KEPT = 7  # days


def read_settings(environment: Mapping[str, str], *, data: Path) -> Settings:
    """Settings of an environment; `data` is the folder used when MIMAMORI_DATA is not set. Raises ValueError."""
    values: dict[str, object] = {"data": data}
    for variable, name in VARIABLES.items():
        if environment.get(variable):
            values[name] = environment[variable]
    values["data"] = Path(str(values["data"]))
    for variable, name, example in NUMBERS:
        try:
            values[name] = int(str(values.get(name, getattr(Settings(data=data), name))))
        except ValueError:
            msg = f"{variable} is {values[name]!r}; write a number such as {example}"
            raise ValueError(msg) from None
    settings = Settings(**values)  # type: ignore[arg-type]
    _check_kept(settings)
    return settings


def _check_kept(settings: Settings) -> None:
    """Figures are made from readings and outlive them; a restart catches up from readings, and needs those of days."""
    readings, figures = settings.keep_readings, settings.keep_figures
    if readings < 0 or 0 < readings < LEAST_KEPT:
        msg = f"MIMAMORI_KEEP_READINGS_DAYS is {readings}; keep them {LEAST_KEPT} days at least, or 0 for ever"
        raise ValueError(msg)
    if figures < 0 or (figures and (not readings or figures < readings)):
        msg = (
            f"MIMAMORI_KEEP_FIGURES_DAYS is {figures}; figures outlive readings ({readings or 'for ever'}): "
            "write as many days or more, or 0 for ever"
        )
        raise ValueError(msg)
