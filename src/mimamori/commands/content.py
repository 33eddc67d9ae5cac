"""A site's content: copied for editing, and checked."""

from __future__ import annotations

from pathlib import Path

import click

from mimamori.check import check_examples
from mimamori.commands.options import FOLDER, load_content, plainly, site_option
from mimamori.site import copy_content


@click.command()
@click.argument("folder", type=FOLDER)
def init(folder: Path) -> None:
    """Copy the packaged content into FOLDER, to edit."""
    with plainly():
        for copied in copy_content(folder):
            click.echo(f"made {copied}")
        click.echo(f"edit the files, then: mimamori check --site {folder}")


@click.command()
@site_option
def check(site: Path | None) -> None:
    """Load and cross-check the content and run every rule's [[example]]; all mistakes at once."""
    with plainly():
        loaded = load_content(site)
        count, errors = check_examples(loaded)
        for error in errors:
            click.echo(str(error), err=True)
        if errors:
            raise SystemExit(1)
        click.echo(
            f"{len(loaded.rules)} rules, {count} examples, {len(loaded.profiles)} profiles, "
            f"{len(loaded.scene.personas)} personas: no mistakes (digest {loaded.digest[:12]})"
        )
