"""``neurofb protocols``: the protocols that come with neurofb as a list, one as a sheet, or a copy to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.format import clock

if TYPE_CHECKING:
    from neurofb.protocol.design import Protocol

LIST_HEADER = ("name", "title", "status", "lasts", "trains", "heat", "headsets that fit")
SHEET_HEADER = ("what", "as the file says")


@click.command("protocols")
@click.argument("name", required=False)
@click.option(
    "--copy",
    is_flag=True,
    help="Write NAME.toml into this folder, to be changed; a file that is there is kept.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the copy goes.  [default: ./NAME.toml]",
)
@AS_JSON
def command(name: str | None, copy: bool, out: Path | None, as_json: bool) -> None:
    """List the protocols that come with neurofb, explain one, or copy one as the begin of your own.

    NAME is the name of a bundled one, such as breath-heat.
    """
    from neurofb.protocol.bundled import protocol_names

    if name is not None and name not in protocol_names():
        raise UnknownName(f"no bundled protocol {name!r}; {nearest(name, protocol_names())}")
    if (copy or out) and name is None:
        raise WrongInput("a copy of which protocol? neurofb protocols NAME --copy, such as breath-heat")
    if copy or out:
        assert name is not None
        path = copy_protocol(name, out or Path(f"{name}.toml"))
        click.echo(f"{path}: change it, then `neurofb check {_as_argument(path)}`")
        return
    documents = [protocol_document(each) for each in ([name] if name else protocol_names())]
    if as_json:
        click.echo(json.dumps(documents[0] if name else documents, indent=2, ensure_ascii=False))
    elif name:
        show_table(documents[0]["title"], SHEET_HEADER, sheet_rows(documents[0]))
        click.echo(f"`neurofb check {name} --device DEVICE` shows its timeline")
    else:
        show_table("Protocols", LIST_HEADER, map(list_row, documents))


def copy_protocol(name: str, path: Path) -> Path:
    """Write the file of a bundled protocol, as it is, comments included; return its path.

    Raises
    ------
    WrongInput
        If there is a file already, or none can be written.
    """
    from neurofb.protocol.bundled import protocol_text

    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(protocol_text(name)[0])
    except FileExistsError:
        raise WrongInput(f"{path} is there already and is kept; give another path: --out FILE") from None
    except OSError as error:
        raise WrongInput(
            f"{path} cannot be written: {error.strerror}; give another path: --out FILE"
        ) from None
    return path


def protocol_document(name: str) -> dict[str, Any]:
    """Return what a bundled protocol is for, and which headsets it fits, as JSON can hold it."""
    from neurofb.devices import load_profiles
    from neurofb.protocol.checks.check import fits
    from neurofb.protocol.design import load_protocol
    from neurofb.protocol.timeline import expand

    protocol = load_protocol(name)
    study = protocol.study
    arm = protocol.arms[0].id if protocol.arms else None
    visits: list[str | None] = [visit.id for visit in protocol.sessions] or [None]
    timelines = {visit: expand(protocol, session=visit, arm=arm) for visit in visits}
    return {
        "name": name,
        "title": study.title,
        "status": study.status,
        "citation": study.citation,
        "doi": study.doi,
        "notes": list(study.notes),
        "sessions": {str(visit or "1"): each.duration_s for visit, each in timelines.items()},
        "waits": any(each.waits for each in timelines.values()),
        "arms": {each.id: each.label for each in protocol.arms},
        "trains": None if protocol.feedback is None else protocol.feedback.feature,
        "features": [each.name for each in protocol.features],
        "heat": _heat(protocol),
        "devices": [profile.name for profile in load_profiles() if fits(protocol, profile)],
        "assumed": len(protocol.assumed),
    }


def list_row(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a protocol, as ``LIST_HEADER`` names its cells."""
    longest_s = max(document["sessions"].values())
    n_sessions = len(document["sessions"])
    return (
        document["name"],
        document["title"],
        document["status"].replace("_", " "),
        _at_most(document) + clock(longest_s) + (f" × {n_sessions}" if n_sessions > 1 else ""),
        document["trains"] or "nothing",
        document["heat"] or "none",
        " ".join(document["devices"]),
    )


def sheet_rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return one row for each fact of a protocol, as ``SHEET_HEADER`` names its cells."""
    sessions = document["sessions"].items()
    lasts = ", ".join(
        (f"{visit}: " if len(sessions) > 1 else "") + clock(each_s) for visit, each_s in sessions
    )
    rows = [
        ("status", document["status"].replace("_", " ")),
        ("after", document["citation"] + (f", doi {document['doi']}" if document["doi"] else "")),
        ("lasts", _at_most(document) + lasts),
        *(("arm", f"{arm}: {label}") for arm, label in document["arms"].items()),
        ("trains", document["trains"] or "nothing"),
        ("features", ", ".join(document["features"])),
        ("heat", document["heat"] or "none"),
        ("headsets that fit", " ".join(document["devices"]) or "none of the bundled profiles"),
        ("numbers that are assumed", str(document["assumed"])),
    ]
    return [*rows, *(("note", note) for note in document["notes"])]


def _heat(protocol: Protocol) -> str:
    """Return the levels of heat in words, "" where there is none."""
    if protocol.heat is None:
        return ""
    levels = [
        f"{name} {level.celsius:g} °C" if level.celsius is not None else f"{name} at pain {level.pain:g}"
        for name, level in protocol.heat.levels.items()
    ]
    return ", ".join(levels) + f", at most {protocol.heat.cap_c:g} °C"


def _at_most(document: dict[str, Any]) -> str:
    """Return what stands before a duration where phases wait for somebody."""
    return "at most " if document["waits"] else ""


def _as_argument(path: Path) -> str:
    """Return a path as commands take it: one without a folder would be a name."""
    return str(path) if len(path.parts) > 1 else f"./{path}"
