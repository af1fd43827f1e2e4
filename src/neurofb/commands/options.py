"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

#: What click's options decorate.
Command = TypeVar("Command", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A number on the command line that is one: "nan" and "inf", which compare as no number does, are refused."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number.

        Raises
        ------
        click.BadParameter
            If it is none, not finite, or out of range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"found {value}, needed is a finite number, such as 1 or 0.5", param, ctx)
        return number


def dataset(words: str = "The dataset.") -> Callable[[Command], Command]:
    """Return the option of a dataset's folder, with its help."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default="neurofb-data",
        show_default=True,
        help=words,
    )


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
SESSION_FOLDER = click.argument("session", type=click.Path(path_type=Path))
DEVICE = click.option(
    "--device", default="simulated", show_default=True, help="The headset: a profile's name or path."
)
SESSION = click.option("--session", help="Which session of the protocol.  [default: the first]")
SPEED = click.option(
    "--speed", type=Finite(), default=1.0, show_default=True, help="Seconds of EEG per second."
)
STREAM = click.option(
    "--stream",
    help="The EEG stream by its exact name, whatever characters it has.  [default: the one that fits]",
)
STREAM_LIKE = click.option(
    "--stream-like", "stream_like", help="The EEG stream by a part of its name, * for any text, as 'Muse*'."
)
WHERE = click.option(
    "--where", help="The EEG stream by a predicate in XPath 1.0, such as \"hostname='lab2'\"."
)
PROGRAM = click.option(
    "--program", help="The program that sends the EEG, where it is not recognised, as muselsl."
)
UNIT = click.option(
    "--unit", help="The unit of the EEG, where the stream says none or a wrong one, as microvolts."
)
WAIT = click.option("--wait", is_flag=True, help="Begin when somebody listens.")
HEADLESS = click.option(
    "--headless", is_flag=True, help="Lines only: no picture at the terminal, no windows."
)
SCREENS = click.option("--screens", is_flag=True, help="Open the participant's and the operator's windows.")
KEY_FILE = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with a secret, for screens and programs elsewhere that have a copy; made if there is none.",
)
OUTCOME_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the end as JSON, for programs.")
SKIN_ACCOUNT = click.option(
    "--skin-account",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The account of participants' skin.  [default: in your own data folder]",
)
