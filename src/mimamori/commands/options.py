"""What the commands share: usual options, and errors that name place and mend. May import site and what is below."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mimamori.settings import Settings, read_settings
from mimamori.site import Site, SiteError, load_site

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

site_option = click.option("--site", type=FOLDER, help="Folder of the four content folders.")
data_option = click.option(
    "--data", type=FOLDER, default=Path("data"), show_default=True,
    help="The service's folder (MIMAMORI_DATA goes before it).",
)  # fmt: skip


@contextmanager
def plainly() -> Iterator[None]:
    """What can go wrong with the outside becomes one line on standard error and exit status 1."""
    try:
        yield
    except SiteError as error:
        for mistake in error.errors:
            click.echo(str(mistake), err=True)
        click.echo(f"{len(error.errors)} mistake(s) in {error.folder}; nothing was done", err=True)
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:
        click.echo(f"mimamori: {error}", err=True)
        raise SystemExit(1) from None


def load_content(site: Path | None) -> Site:
    """The content of this folder, or as it was found; standard error says where. Raises SiteError."""
    loaded = load_site(site)
    click.echo(f"content: {loaded.folder} (found by: {loaded.found_by})", err=True)
    return loaded


def ledger_settings(data: Path) -> Settings:
    """The settings of a service that has a ledger. Raises ValueError where there is none."""
    settings = read_settings(os.environ, data=data)
    if not settings.ledger and not (settings.data / "ledger.sqlite").is_file():
        msg = f"{settings.data} holds no ledger; name the service's data folder with --data"
        raise ValueError(msg)
    return settings
