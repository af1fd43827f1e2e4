"""Open recordings of other programs: EDF, BDF, BrainVision, FIF, EEGLAB, GDF, XDF, OpenBCI text.

In: a path. Out: a ``Recording``, its EEG in µV on a regular grid, read piece by piece, and notes of what was odd.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurofb import limits
from neurofb.acquisition.readers.eeg_signals import Asked
from neurofb.acquisition.readers.recording import Recording
from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile
from neurofb.errors import NeurofbError, UnknownFile, WrongFile, nearest

_EDF_ENDINGS = (".edf", ".bdf", ".edf+", ".bdf+", ".rec")
_BRAINVISION_ENDINGS = (".vhdr", ".ahdr")
_MNE_ENDINGS = (".fif", ".fif.gz", ".set", ".gdf")
_XDF_ENDINGS = (".xdf", ".xdfz", ".xdf.gz")
_TEXT_ENDINGS = (".txt", ".csv", ".obci")
#: The median absolute amplitude of EEG lies between these on any device (assumed: a tenth of quiet EEG, and what
#: amplifiers of EEG can take).
_LEAST_UV, _MOST_UV = 0.05, 5000.0
#: The size of values is judged by so many pieces of a recording, of so many samples each.
_PIECES, _PIECE_SAMPLES = 8, 1 << 12


def read_recording(
    path: str | Path, stream: str | None = None, profile: DeviceProfile | None = None, unit: str | None = None
) -> Recording:
    """Return the EEG of a recording.

    Parameters
    ----------
    path : str or Path
        The file: ``.edf``, ``.bdf``, ``.gdf``, ``.vhdr``, ``.fif``, ``.set``, ``.xdf``, or ``.txt`` of the
        OpenBCI GUI.
    stream : str, optional
        Which stream of an XDF file: its name, type or number; needed if several could be meant.
    profile : DeviceProfile, optional
        The device that was recorded: gives the EEG channels and their order, and labels and unit where the
        file has none.
    unit : str, optional
        The unit of the file's values, against whatever it says itself.

    Returns
    -------
    Recording
        In µV, NaN where the file has gaps.

    Raises
    ------
    WrongFile
        If the file cannot be read, or does not say what its values are.
    """
    path, asked = Path(path), Asked(profile, unit)
    read = _reader(path, stream, asked)
    try:
        if "\0" in str(path) or path.exists():
            limits.require_regular(path)
        if not path.is_file():
            beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UnknownFile(f"no file {path}; in its folder {nearest(path.name, beside)}")
        recording = read()
        notes = _size_notes(path, recording, asked)
    except NeurofbError:
        raise
    except OSError as error:
        raise WrongFile(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, ArithmeticError, struct.error, MemoryError) as error:
        # A damaged file can hold anything: whatever its reader stumbles over, it is the file that is wrong.
        what = " ".join(str(error).split())[:300] or type(error).__name__
        raise WrongFile(f"{path} is damaged or no such file: {what}") from error
    if profile is not None and recording.rate_hz not in profile.rates_hz:
        has = ", ".join(f"{rate_hz:g}" for rate_hz in profile.rates_hz)
        notes.append(f"recorded at {recording.rate_hz:g} Hz, but {profile.title} has {has} Hz")
    return replace(recording, notes=(*recording.notes, *notes))


def _reader(path: Path, stream: str | None, asked: Asked) -> Callable[[], Recording]:
    """Return the reader of files with this ending."""
    name = path.name.lower()
    if name.endswith(_XDF_ENDINGS):
        from neurofb.acquisition.readers.xdf_recording import read_xdf

        return lambda: read_xdf(path, stream, asked)
    if stream is not None:
        raise WrongFile(f"{path} holds no streams to choose {stream!r} from; only XDF files do")
    if name.endswith(_TEXT_ENDINGS):
        from neurofb.acquisition.readers.openbci_text import read_openbci_text

        return lambda: read_openbci_text(path, asked)
    if name.endswith(_EDF_ENDINGS):
        from neurofb.acquisition.readers.edf_recording import read_edf

        return lambda: read_edf(path, asked)
    if name.endswith(_BRAINVISION_ENDINGS):
        from neurofb.acquisition.readers.brainvision_recording import read_brainvision

        return lambda: read_brainvision(path, asked)
    if name.endswith(_MNE_ENDINGS):
        from neurofb.acquisition.readers.mne_recording import read_by_mne

        return lambda: read_by_mne(path, asked)
    hint = "open its .vhdr instead; " if name.endswith((".eeg", ".vmrk", ".avg", ".dat")) else ""
    known = " ".join(
        (*_EDF_ENDINGS[:2], *_BRAINVISION_ENDINGS[:1], *_MNE_ENDINGS, *_XDF_ENDINGS, *_TEXT_ENDINGS)
    )
    raise WrongFile(f"{path} has an ending that no reader knows; {hint}they read {known}")


def _size_notes(path: Path, recording: Recording, asked: Asked) -> list[str]:
    """Return notes on values whose size cannot be EEG; refuse a format of one unit that was saved in another."""
    sizes_uv = _sizes_uv(recording)
    known = sizes_uv[np.isfinite(sizes_uv) & (sizes_uv > 0)]
    usual_uv = float(np.median(known)) if len(known) else 1.0
    notes = []
    if asked.unit is None and path.name.lower().endswith((".fif", ".fif.gz", ".set")):
        for unit, factor in (("uV", 1e-6), ("V", 1e6)):
            if not _LEAST_UV <= usual_uv <= _MOST_UV and _LEAST_UV <= usual_uv * factor <= _MOST_UV:
                raise WrongFile(
                    f"{path}: its EEG would have a median amplitude of {usual_uv:.3g} µV, in the unit of its format; "
                    f"was it saved in {unit}? Say so by --unit {unit}"
                )
    wrong = {
        label: size
        for label, size in zip(recording.labels, sizes_uv.tolist(), strict=True)
        if size > _MOST_UV or 0 < size < _LEAST_UV
    }
    if wrong:
        named = ", ".join(f"{label} {size:.3g} µV" for label, size in [*wrong.items()][:20])
        notes.append(
            f"the size of the values cannot be EEG, which has {_LEAST_UV:g} to {_MOST_UV:g} µV (median absolute "
            f"amplitude): {named}; if the unit is wrong, say the right one by --unit"
        )
    if flat := [label for label, size in zip(recording.labels, sizes_uv, strict=True) if size == 0]:
        notes.append(f"flat, or mostly: {', '.join(flat[:20])}")
    return notes


def _sizes_uv(recording: Recording) -> FloatArray:
    """Return the median absolute deviation of each channel from its median, which a steady offset does not move."""
    firsts = np.linspace(0, max(recording.n_samples - _PIECE_SAMPLES, 0), _PIECES).astype(int)
    pieces = [
        recording.read(int(first), min(int(first) + _PIECE_SAMPLES, recording.n_samples))
        for first in np.unique(firsts)
    ]
    sizes = np.full((len(pieces), len(recording.labels)), np.nan)
    for i, piece in enumerate(pieces):
        for channel in range(piece.shape[1]):
            values = piece[np.isfinite(piece[:, channel]), channel]
            if len(values):
                sizes[i, channel] = np.median(np.abs(values - np.median(values)))
    with np.errstate(all="ignore"):
        return np.array(
            [
                np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else np.nan
                for column in sizes.T
            ]
        )
