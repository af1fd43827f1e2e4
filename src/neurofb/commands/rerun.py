"""``neurofb rerun``: a session computed again, compared with its recording or under another protocol."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON, SESSION_FOLDER
from neurofb.commands.tables import show_table
from neurofb.errors import WrongInput
from neurofb.events import plain

if TYPE_CHECKING:
    from neurofb.offline.comparison import Verdict
    from neurofb.offline.rerun import Progress
    from neurofb.offline.what_if import BlockComparison
    from neurofb.recording.session_recording import SessionRecording

#: Exit code of ``--check`` where a bit is not as recorded.
DIFFERENT = 2
BLOCK_HEADER = ("block", "", "rewards", "share", "usable", "level", "success", "alike")


@click.command("rerun")
@SESSION_FOLDER
@click.option("--check", is_flag=True, help="Demand equality with the record, to the last bit.")
@click.option("--protocol", help="Another protocol: what would they have felt?")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of a blinded session: a private key that opens its envelope.",
)
@click.option(
    "--donors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of a blinded session: the pool of donors.",
)
@AS_JSON
def command(
    session: Path, check: bool, protocol: str | None, key: Path | None, donors: Path | None, as_json: bool
) -> None:
    """Compute the session in the folder SESSION once more, and hold it against its record.

    Of a blinded session the answer is equal or not, and nothing else.
    """
    from neurofb.recording.session_recording import open_session_recording

    if check and protocol:
        raise WrongInput("--check asks for what was recorded, --protocol for something else: leave one out")
    recording = open_session_recording(session)
    if protocol:
        _compare_protocols(recording, protocol, as_json)
        return
    if recording.is_blinded and key is not None and donors is not None:
        _check_blinded(recording, key, donors, as_json)
        return
    from neurofb.offline.comparison import compare
    from neurofb.offline.rerun import compute, loop_of

    began_s = time.perf_counter()
    with _progress(as_json) as progress:
        computed = compute(recording, loop_of(recording), progress)
    took_s = time.perf_counter() - began_s
    verdict = compare(recording, computed)
    eeg_s = computed.n_samples / computed.rate_hz
    if as_json:
        document = {"session": str(session), "eeg_s": eeg_s, "took_s": took_s, **verdict_document(verdict)}
        click.echo(json.dumps(plain(document), ensure_ascii=False))
    else:
        _print_verdict(verdict, eeg_s, took_s)
    if check and not verdict.is_equal:
        sys.exit(DIFFERENT)


def _check_blinded(recording: SessionRecording, key: Path, donors: Path, as_json: bool) -> None:
    """Say whether a blinded session is equal; where it differs would tell its arm."""
    from neurofb.blinding.donors import read_pool
    from neurofb.blinding.keys import read_private_key
    from neurofb.offline.blinded import check_blinded

    with _progress(as_json) as progress:
        is_equal = check_blinded(recording, read_private_key(key), read_pool(donors), progress).is_equal
    if as_json:
        click.echo(json.dumps({"session": str(recording.folder), "equal": is_equal}))
    else:
        click.echo("equal" if is_equal else "different", err=not is_equal)
    if not is_equal:
        sys.exit(DIFFERENT)


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON can hold it."""
    return {
        "equal": verdict.is_equal,
        "bits_demanded": verdict.demands_bits,
        "not_as_recorded": list(verdict.others),
        "rows": {
            "features": verdict.n_values,
            "feedback": verdict.n_feedback,
            "reasons": verdict.n_reasons,
            "same_bits": verdict.n_same_bits,
            "lost": verdict.n_lost,
        },
        "worst_relative": verdict.worst,
        "difference": None if verdict.difference is None else asdict(verdict.difference),
        "notes": list(verdict.notes),
    }


def _print_verdict(verdict: Verdict, eeg_s: float, took_s: float) -> None:
    from neurofb.offline.comparison import TOLERANCE

    click.echo(
        f"{eeg_s:.1f} s of EEG computed again in {took_s:.2f} s, {eeg_s / max(took_s, 1e-9):.0f} × real time"
    )
    for note in verdict.notes:
        click.echo(f"note: {note}")
    for other in verdict.others:
        click.echo(f"note: {other}; equal means within {TOLERANCE:g}, relative")
    rows = (
        f"{verdict.n_values} rows of values, {verdict.n_feedback} of feedback, {verdict.n_reasons} changes of "
        "the reason"
    )
    n_compared = verdict.n_values + verdict.n_feedback - verdict.n_lost
    if verdict.difference is not None:
        click.echo(f"different: {rows}; first difference: {verdict.difference}", err=True)
    elif verdict.n_same_bits == n_compared:
        click.echo(f"equal to the last bit: {rows}")
    else:
        click.echo(
            f"equal within {TOLERANCE:g}: {rows}; {verdict.n_same_bits} rows to the last bit, greatest relative "
            f"difference {verdict.worst:.2g}"
        )


def _compare_protocols(recording: SessionRecording, protocol: str, as_json: bool) -> None:
    from neurofb.offline.what_if import what_if
    from neurofb.protocol.design import load_protocol

    other = load_protocol(protocol)
    with _progress(as_json) as progress:
        blocks = what_if(recording, other, progress)
    if as_json:
        document = {"protocol": other.study.id, "blocks": [asdict(block) for block in blocks]}
        click.echo(json.dumps(plain(document), ensure_ascii=False))
        return
    if not blocks:
        click.echo("the session has no feedback blocks, so there is nothing to compare")
        return
    show_table(f"Delivered, and with {other.study.id}", BLOCK_HEADER, list(block_rows(blocks)))
    click.echo(
        "note: the EEG answered the feedback that was delivered; this says what the other rule would have given for "
        "the same EEG, not what the participant would have done. alike: how the two levels go together, as "
        "a correlation"
    )


def block_rows(blocks: list[BlockComparison]) -> Iterator[tuple[str, ...]]:
    """Return two rows for each block, as ``BLOCK_HEADER`` names their cells."""
    for number, block in enumerate(blocks, 1):
        end_s = block.start_s + block.duration_s
        for name, feedback in (("delivered", block.delivered), ("other", block.other)):
            first = name == "delivered"
            yield (
                f"{number} {block.condition}, {block.start_s:.0f}–{end_s:.0f} s" if first else "",
                name,
                str(feedback.rewards),
                _percent(feedback.rewarded),
                _percent(feedback.usable),
                f"{feedback.level:.3f}",
                f"{feedback.success:.3f}",
                "" if first else f"{block.alike:.2f}",
            )


def _percent(share: float) -> str:
    return "none" if share != share else f"{share:.0%}"


@contextlib.contextmanager
def _progress(as_json: bool) -> Iterator[Progress | None]:
    """Show the progress of long work on a terminal."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("once more"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("rerun", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
