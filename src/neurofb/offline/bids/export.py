"""A session as BIDS: written with mne-bids, with the sidecars that reviewers and other programs ask for.

In: a session's folder. Out: BrainVision EEG, events, channels, electrodes, temperature, feedback and ratings in the
dataset, and what was derived in ``derivatives/neurofb``. The recording itself stays where it is, in ``sourcedata``.
Which arm the participant is in stands nowhere. Nothing that exists is overwritten.
"""

from __future__ import annotations

import codecs
import datetime
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import mne_bids

from neurofb.dsp.hop_size import HopSize
from neurofb.errors import RecordingFailed, WrongInput
from neurofb.offline.bids import tables
from neurofb.offline.bids.brainvision import write_brainvision
from neurofb.offline.bids.events import write_events
from neurofb.offline.bids.shared_tables import SharedTable, remove_row
from neurofb.offline.bids.sidecars import (
    complete_eeg_document,
    protocol_document,
    provenance_document,
    write_about_dataset,
    write_about_derivatives,
)
from neurofb.offline.session import Session, read_session
from neurofb.offline.to_mne import BAD_GAP, SKIPPED, session_date

DERIVED = Path("derivatives") / "neurofb"
SOURCE = Path("sourcedata") / "neurofb"
#: Where mne-bids writes, in the dataset, so that what it wrote needs only new names.
STAGED = ".neurofb-export"
#: A name that mne-bids finds in no other word of the header when it puts the right one in its place.
TEMPORARY = "neurofbexport"
#: Dates that were moved lie before this year, so that everybody sees it.
LAST_SHIFTED = 1925


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export."""

    #: The header of the EEG.
    path: Path
    #: Notes for a reader of the dataset, e.g. that the session was broken off.
    notes: tuple[str, ...] = ()


def export(folder: Path, data: Path, *, shift_dates: int | None = None) -> Path:
    """Write a session into a BIDS dataset and return the header of its EEG; see `export_session`."""
    return export_session(folder, data, shift_dates=shift_dates).path


def export_session(folder: Path, data: Path, *, shift_dates: int | None = None) -> Exported:
    """Write a session into a BIDS dataset.

    Parameters
    ----------
    folder : Path
        Of the session.
    data : Path
        The dataset; made if it is not there.
    shift_dates : int, optional
        By how many days dates are moved back. BIDS asks for dates before 1925 where they were moved.

    Raises
    ------
    WrongInput
        If the session is in the dataset already.
    WrongFile
        If it has no EEG, or the folder is no session.
    RecordingFailed
        If it cannot be written; what was begun is removed again.
    """
    session = read_session(folder)
    raw = session.raw()
    where = _Place.of(session, Path(data))
    where.shared()  # whether a row can be added is asked before anything is written
    if where.header.exists():
        if where.is_complete:
            raise WrongInput(
                f"{where.header} is there already, and nothing is overwritten; remove it, or export to another dataset "
                "with --out"
            )
        where.remove()  # an export that was broken off
    date = _shifted(session_date(session.recording), shift_dates)
    try:
        notes = [*_write(session, raw, where, date)]
    except OSError as error:
        where.remove()
        raise RecordingFailed(
            f"the session cannot be written to {data}: {error.strerror or error}; say with --out "
            "where there is room for it"
        ) from error
    except BaseException:
        where.remove()
        raise
    return Exported(where.header, (*notes, *_about_dates(date, shift_dates)))


def _about_dates(date: datetime.datetime | None, shift_dates: int | None) -> Iterator[str]:
    """Return notes on what a shift of dates does not reach."""
    if not shift_dates:
        return
    yield (
        f"dates are moved back by {shift_dates} days here; {SOURCE} keeps the true ones: leave it out where you share"
    )
    if date is not None and date.year >= LAST_SHIFTED:
        yield f"BIDS asks for dates before {LAST_SHIFTED} where they were moved; this one is of {date.year}"


def is_exported(folder: Path, data: Path) -> bool:
    """Return whether a session is in a dataset, whole."""
    where = _Place.of(read_session(folder), Path(data))
    return where.header.exists() and where.is_complete


@dataclass(frozen=True, slots=True)
class _Place:
    """Paths of the files of one run."""

    data: Path
    bids: Any
    stem: str

    @classmethod
    def of(cls, session: Session, data: Path) -> _Place:
        asked = session.settings
        try:
            bids = mne_bids.BIDSPath(
                subject=str(asked["participant"]),
                session=str(asked["session"]),
                task=str(asked["task"]),
                run=f"{int(asked['run']):02d}",
                datatype="eeg",
                suffix="eeg",
                root=data,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WrongInput(
                f"the session in {session.recording.folder} cannot be exported: its settings do not say whose it is "
                f"({error}); they stand in session.json"
            ) from None
        return cls(data, bids, str(bids.basename).removesuffix("_eeg"))

    @property
    def eeg(self) -> Path:
        return Path(self.bids.directory)

    @property
    def header(self) -> Path:
        return self.eeg / f"{self.stem}_eeg.vhdr"

    @property
    def derived(self) -> Path:
        return self.data / DERIVED / self.eeg.relative_to(self.data)

    @property
    def beh(self) -> Path:
        return self.eeg.parent / "beh"

    @property
    def last(self) -> Path:
        """The file that is written last: with it the run is complete."""
        return self.derived / f"{self.stem}_desc-provenance_settings.json"

    @property
    def is_complete(self) -> bool:
        return self.last.exists()

    def remove(self) -> None:
        """Remove the files of this run, and its line among the scans."""
        for folder in (self.eeg, self.beh, self.derived):
            for path in folder.glob(f"{self.stem}_*"):
                path.unlink()
        if self.scans.exists():
            remove_row(self.scans, f"eeg/{self.stem}_eeg.")

    @property
    def scans(self) -> Path:
        """The table of this visit's runs."""
        return self.eeg.parent / f"{self.stem.partition('_task-')[0]}_scans.tsv"

    def shared(self) -> list[tuple[Path, SharedTable]]:
        """Return the tables that others write as well, each with its path below the dataset.

        Raises
        ------
        WrongFile
            If one of them is none to which a row can be added without a change to others.
        """
        known = {self.data / "participants.tsv": "participant_id", self.scans: "filename"}
        return [(path.relative_to(self.data), SharedTable(path, key)) for path, key in known.items()]


def _write(session: Session, raw: Any, where: _Place, date: datetime.datetime | None) -> Iterator[str]:
    """Write all files; yield notes for the reader of the dataset."""
    write_about_dataset(where.data)
    _write_eeg(raw, where, date)
    _write_events(session, raw, where)
    tables.write_tsv(
        where.eeg / f"{where.stem}_channels.tsv", tables.CHANNEL_COLUMNS, tables.channel_rows(session)
    )
    _complete(where.eeg / f"{where.stem}_eeg.json", session)
    _write_sampled(session, where)
    _write_ratings(session, where)
    yield from _write_derived(session, where, date)
    if not session.is_whole:
        yield (
            f"the session was broken off and is exported as far as it goes, {session.duration_s:.1f} s: "
            f"{'; '.join(session.problems)}"
        )


def _shifted(date: datetime.datetime | None, days: int | None) -> datetime.datetime | None:
    if date is None or not days:
        return date
    return date - datetime.timedelta(days=days)


def _write_eeg(raw: Any, where: _Place, date: datetime.datetime | None) -> None:
    """Have mne-bids place the EEG, its sidecars, electrodes, scans and participants."""
    with tempfile.TemporaryDirectory(prefix="neurofb-bids-") as name:
        header = write_brainvision(raw, Path(name), TEMPORARY, date)
        written = mne.io.read_raw_brainvision(header, verbose="error")
        written.set_montage(raw.get_montage(), on_missing="ignore", verbose="error")
        written.set_annotations(mne.Annotations([0.0], [0.0], ["start"]), verbose="error")
        written.info["line_freq"] = raw.info["line_freq"]
        staged = where.data / STAGED
        shutil.rmtree(staged, ignore_errors=True)  # of an export that was killed
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Conflicting BIDSVersion")
                mne_bids.write_raw_bids(
                    written,
                    where.bids.copy().update(root=staged),
                    readme=False,
                    overwrite=False,
                    verbose="error",
                )
            _merge(staged, where)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _merge(staged: Path, where: _Place) -> None:
    """Move what mne-bids wrote into the dataset; tables that are there get a row, and nothing else changes."""
    shared = where.shared()
    for path, table in shared:
        rows = (staged / path).read_text("utf-8-sig").splitlines()
        header = rows[0].split("\t")
        for row in rows[1:]:
            table.add(dict(zip(header, row.split("\t"), strict=True)))
        (staged / path).unlink()
    for new in sorted(path for path in staged.rglob("*") if path.is_file()):
        target = where.data / new.relative_to(staged)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            new.replace(target)
        elif target.suffix == ".tsv" and _lines(target) != _lines(new):
            raise WrongInput(
                f"{target} is there already and holds other electrodes than this session; nothing is overwritten: "
                "correct or remove it, or export to another dataset with --out"
            )


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()


def _write_events(session: Session, raw: Any, where: _Place) -> None:
    gaps = [
        (float(each["onset"]), float(each["duration"]), str(each["description"]))
        for each in raw.annotations
        if each["description"] in (BAD_GAP, SKIPPED)
    ]
    write_events(where.eeg / where.stem, session, gaps)


def _complete(path: Path, session: Session) -> None:
    document = json.loads(path.read_text("utf-8"))
    tables.write_json(path, complete_eeg_document(document, session))


def _write_sampled(session: Session, where: _Place) -> None:
    device = session.settings.get("heat") or {}
    heat = tables.thermode(session)
    if heat is not None:
        more = {
            "TaskName": where.bids.task,
            "PhysioType": "generic",
            "Description": f"Contact heat stimulator at {', '.join(device.get('sites', ()))}",
        }
        tables.write_sampled(where.eeg / f"{where.stem}_recording-thermode_physio", heat, more)
    given = tables.feedback(session, HopSize.at(session.recording.rate_hz).hop / session.recording.rate_hz)
    if given is not None:
        more = {"TaskName": where.bids.task, "Description": "Neurofeedback as it was put out"}
        tables.write_sampled(where.eeg / f"{where.stem}_recording-feedback_stim", given, more)


def _write_ratings(session: Session, where: _Place) -> None:
    rows = tables.rating_rows(session)
    if not rows:
        return
    where.beh.mkdir(parents=True, exist_ok=True)
    tables.write_tsv(where.beh / f"{where.stem}_beh.tsv", list(tables.RATING_COLUMNS), rows)
    document = {"TaskName": where.bids.task, **tables.ratings_document(session)}
    tables.write_json(where.beh / f"{where.stem}_beh.json", document)


def _write_derived(session: Session, where: _Place, date: datetime.datetime | None) -> Iterator[str]:
    """Write features, the protocol without its arms, and with what all of it was made; the last says it is complete."""
    where.derived.mkdir(parents=True, exist_ok=True)
    write_about_derivatives(where.data / DERIVED)
    features = session.features
    stem = where.derived / where.stem
    rows = zip(*(column.tolist() for column in features.values()), strict=True)
    tables.write_tsv(stem.with_name(f"{where.stem}_desc-features_timeseries.tsv"), list(features), rows)
    about = {
        "onset_s": {"Description": "From the first sample of the EEG on", "Units": "s"},
        "index": {"Description": "The sample that the value belongs to"},
        "time_s": {"Description": "The recording computer's LSL clock", "Units": "s"},
    }
    units = session.recording.units("neurofb-features")
    for name in features:
        if name not in about:
            about[name] = {"Description": "See the protocol", "Units": units.get(name, "")}
    tables.write_json(stem.with_name(f"{where.stem}_desc-features_timeseries.json"), about)
    document, problem = protocol_document(session.recording.protocol_text)
    if document:
        tables.write_json(stem.with_name(f"{where.stem}_desc-protocol_settings.json"), document)
    if problem:
        yield problem
    tables.write_json(where.last, provenance_document(session, date))
