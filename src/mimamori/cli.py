"""The command line: which commands there are. Each is loaded when it is asked for, so that `--help` costs a moment.

Exit status: 0 well, 1 something in the input is wrong (content, file, broker), 2 the command was not understood.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import NamedTuple

import click

import mimamori


class Entry(NamedTuple):
    """A command: where it is, and its short help, told without loading it."""

    place: str
    help: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Watch": {
        "demo": Entry("commands.service:demo", "The whole service with simulated households on a sped-up clock."),
        "run": Entry("commands.service:run", "The service for a site, against the broker of MIMAMORI_BROKER."),
    },
    "Set up a site": {
        "init": Entry("commands.content:init", "Copy the packaged content into FOLDER, to edit."),
        "check": Entry("commands.content:check", "Load and cross-check the content, and run every rule's examples."),
        "user": Entry("commands.register:user", "Staff who sign in or are called: add, list, password, disable."),
        "resident": Entry("commands.register:resident", "The households that are watched: add, list."),
        "device": Entry("commands.register:device", "The devices in the homes: add, retire, list."),
        "conform": Entry("commands.conform:conform", "Check devices against the contract of sensors/README.md."),
    },
    "Look after it": {
        "roster": Entry("commands.duty:roster", "Who is on duty in the next days."),
        "load": Entry("commands.duty:load", "How heavy the alarms lie on each person (EEMUA 191, ISA-18.2)."),
        "backup": Entry("commands.keeping:backup", "Copy a whole site into the new FOLDER while the service runs."),
        "restore": Entry("commands.keeping:restore", "Put the backup in FOLDER into an empty site."),
        "export": Entry("commands.keeping:export", "The alerts and the readings of a service, running or not."),
        "rehearse": Entry("rehearsals:rehearse_command", "What RULE would have told with other SETTINGS."),
    },
    "Try rules on days": {
        "simulate": Entry("commands.simulate:simulate", "Simulated households: into a file, or onto a broker."),
        "import": Entry("commands.importing:importing", "Recordings in public formats into reading files."),
        "replay": Entry("commands.scoring:replay", "A reading FILE through the same loop, as fast as it goes."),
        "evaluate": Entry("commands.scoring:evaluate", "Replay a reading FILE and score its alerts."),
        "scoreboard": Entry("commands.scoring:scoreboard", "Our rules about inactivity beside other ways."),
        "bench": Entry("commands.bench:bench", "Time a part of the service on this machine."),
    },
}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(click.Group):
    """The table above as a group of click's."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own way
        """All names, for completion and for telling what was meant."""
        return sorted(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, loaded now; None if there is none."""
        if cmd_name not in ENTRIES:
            return None
        module, _, name = ENTRIES[cmd_name].place.partition(":")
        command = getattr(import_module(f"mimamori.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The help page's lists, out of the table alone."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()], col_max=12)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mimamori.__version__, prog_name="mimamori")
def main() -> None:
    """Mimamori: remote watch for old people who live alone. 安否確認であり、医療機器ではありません。"""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    main()
