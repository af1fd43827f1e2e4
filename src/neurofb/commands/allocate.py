"""``neurofb allocate``: draws a study's allocation and seals it, on the statistician's computer."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofb.errors import WrongFile, WrongInput

if TYPE_CHECKING:
    from neurofb.blinding.allocation import Person
    from neurofb.blinding.envelope_folder import Recipients
    from neurofb.blinding.study_file import StudyArm, StudyFile

FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Keys:
    key: Path | None
    emergency: Path | None
    engine: Path | None

    def recipients(self) -> Recipients:
        """Return the public keys of the three files."""
        from neurofb.blinding.envelope_folder import Recipients
        from neurofb.blinding.keys import read_public_key

        given = {"--key": self.key, "--emergency": self.emergency, "--engine": self.engine}
        if missing := [name for name, path in given.items() if path is None]:
            raise WrongInput(
                f"{' and '.join(missing)} missing; envelopes are sealed for the statistician (--key), for emergencies "
                "(--emergency) and for the engine (--engine): give their .pub files, which neurofb keys makes"
            )
        return Recipients(*(read_public_key(path) for path in given.values() if path is not None))


@click.command("allocate")
@click.argument("study", type=FILE)
@click.option("--key", type=FILE, help="The statistician's public key: opens the list and the envelopes.")
@click.option("--emergency", type=FILE, help="The public key for emergencies: opens the envelopes.")
@click.option("--engine", type=FILE, help="The public key of the lab's engine: opens the envelopes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder to write, or with --identity or --verify the one that is there.",
)
@click.option(
    "--people",
    type=FILE,
    help="With minimise: a CSV file with a column participant and one for each factor, in order of enrolment.",
)
@click.option(
    "--identity", type=FILE, help="The statistician's private key: add slots to the allocation in --out."
)
@click.option(
    "--verify", is_flag=True, help="With --identity: draw the list again, open all envelopes, and compare."
)
def command(
    study: Path,
    key: Path | None,
    emergency: Path | None,
    engine: Path | None,
    out: Path,
    people: Path | None,
    identity: Path | None,
    verify: bool,
) -> None:
    """Draw who gets which arm in STUDY, and seal it: one envelope for each slot, and the list.

    Run by the statistician, away from the lab. The folder goes to the lab; list and seed are in its list.age, which
    only the statistician's key opens. Nothing that is printed tells an arm.
    """
    from neurofb.blinding import envelope_folder
    from neurofb.blinding.keys import read_private_key
    from neurofb.blinding.study_file import read_study

    if identity is None and verify:
        raise WrongInput("--verify opens the list: give the statistician's private key with --identity")
    if identity is not None and verify:
        n_slots = envelope_folder.verify(out, read_private_key(identity))
        click.echo(f"{n_slots} envelopes are those of the list, and the list is what its seeds give")
        return
    keys = _Keys(key, emergency, engine).recipients()
    read, _ = read_study(study)
    for arm in read.arms:
        check_arm(read, arm, study)
    persons = () if people is None else read_people(people, read)
    if identity is not None:
        n_slots = envelope_folder.add_slots(out, keys, read_private_key(identity), persons)
        click.echo(f"{n_slots} envelopes added to {out}")
        return
    n_slots = envelope_folder.allocate(study, out, keys, persons)
    n_strata = len(read.all_strata)
    click.echo(
        f"{n_slots} envelopes in {out}, {n_strata} {'stratum' if n_strata == 1 else 'strata'}, drawn from the system's "
        f"entropy. To the lab: the whole folder. Keep a copy: {out / envelope_folder.LIST} opens with your key alone"
    )


def check_arm(study: StudyFile, arm: StudyArm, path: Path) -> None:
    """Refuse an arm whose protocol does not have it, is another one, or masks others than the study."""
    from neurofb.protocol.design import load_protocol
    from neurofb.recording.provenance import text_hash

    own = path.parent / arm.protocol
    protocol = load_protocol(own if arm.protocol.endswith(".toml") else arm.protocol)
    found = text_hash(protocol.text)
    if found != arm.protocol_sha256:
        raise WrongFile(
            f"{path}: the arm {arm.id!r} has protocol_sha256 = {arm.protocol_sha256 or 'nothing'}, and {arm.protocol} "
            f'is another text; if it is the right one: protocol_sha256 = "{found}"'
        )
    protocol.arm(arm.id)
    if set(protocol.masked) != set(study.blinding.masked):
        raise WrongFile(
            f"{path} masks {', '.join(study.blinding.masked) or 'nobody'}, and {arm.protocol} masks "
            f"{', '.join(protocol.masked) or 'nobody'}; write the same in both"
        )


def read_people(path: Path, study: StudyFile) -> tuple[Person, ...]:
    """Return the people of a CSV file, in its order."""
    from neurofb import limits
    from neurofb.blinding.allocation import Person
    from neurofb.protocol.study import pseudonym_problem

    try:
        text = limits.read_text(path, limits.MOST_TOML_BYTES, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongFile(f"{path} cannot be read: {error}; needed is a CSV file in UTF-8") from None
    found = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), 2):
        code = (row.pop("participant", "") or "").strip()
        if problem := pseudonym_problem(code):
            raise WrongFile(f"{path}, line {number}: {problem}")
        try:
            levels = {str(name): (level or "").strip() for name, level in row.items()}
            found.append(Person(code, study.stratum(levels)))
        except WrongInput as error:
            raise WrongFile(f"{path}, line {number}: {error}") from None
    if not found:
        columns = ",".join(["participant", *(factor.name for factor in study.strata)])
        raise WrongFile(f"{path} has nobody in it; needed: a line {columns}, and one for each person")
    return tuple(found)
