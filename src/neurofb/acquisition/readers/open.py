"""Open recordings of other programs: EDF, BDF, BrainVision, FIF, EEGLAB, XDF, OpenBCI text.

In: a path. Out: a ``Recording``, its EEG in µV on a regular grid. MNE reads most formats; it is imported here
and not only in ``offline/`` because playback happens before a session, not after it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurofb.acquisition.readers.recording import Recording
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import columns_of_profile, columns_on_head
from neurofb.devices.electrodes import standard_labels
from neurofb.errors import UnknownFile, WrongFile, nearest

#: Endings of the files that MNE reads with its one function for all formats.
_MNE_ENDINGS = (".edf", ".bdf", ".gdf", ".vhdr", ".fif", ".fif.gz", ".set")
_XDF_ENDINGS = (".xdf", ".xdfz", ".xdf.gz")
_TEXT_ENDINGS = (".txt",)


def read_recording(
    path: str | Path, stream: str | None = None, profile: DeviceProfile | None = None
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

    Returns
    -------
    Recording
        In µV, NaN where the file has gaps.
    """
    path = Path(path)
    read = _reader(path, stream, profile)
    try:
        if not path.is_file():
            beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UnknownFile(f"no file {path}; in its folder {nearest(path.name, beside)}")
        recording = read()
    except OSError as error:
        raise WrongFile(f"{path} cannot be read: {error.strerror or error}") from None
    if profile is None or recording.rate_hz in profile.rates_hz:
        return recording
    has = ", ".join(f"{rate_hz:g}" for rate_hz in profile.rates_hz)
    note = f"recorded at {recording.rate_hz:g} Hz, but {profile.title} has {has} Hz"
    return replace(recording, notes=(*recording.notes, note))


def _reader(path: Path, stream: str | None, profile: DeviceProfile | None) -> Callable[[], Recording]:
    """Return the reader of files with this ending."""
    name = path.name.lower()
    if name.endswith(_XDF_ENDINGS):
        from neurofb.acquisition.readers.xdf_recording import read_xdf

        return lambda: read_xdf(path, stream, profile)
    if stream is not None:
        raise WrongFile(f"{path} holds no streams to choose {stream!r} from; only XDF files do")
    if name.endswith(_TEXT_ENDINGS):
        from neurofb.acquisition.readers.openbci_text import read_openbci_text

        return lambda: read_openbci_text(path, profile)
    if name.endswith(_MNE_ENDINGS):
        return lambda: _read_by_mne(path, profile)
    known = " ".join((*_MNE_ENDINGS, *_XDF_ENDINGS, *_TEXT_ENDINGS))
    raise WrongFile(f"{path} has an ending that no reader knows; they read {known}")


def _read_by_mne(path: Path, profile: DeviceProfile | None) -> Recording:
    import mne

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            raw = mne.io.read_raw(path, preload=False, verbose="warning")
        except OSError:
            raise
        except Exception as error:  # a malformed file makes MNE raise whatever it stumbles over
            raise WrongFile(f"{path} cannot be read by MNE: {type(error).__name__}: {error}") from error
    notes = [f"MNE: {warning.message}" for warning in warned]
    eeg = [name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "eeg"]
    if not eeg:
        raise WrongFile(f"{path} has no EEG channels; it has {', '.join(raw.ch_names[:20])}")
    columns = columns_of_profile(profile, len(eeg), eeg) if profile else columns_on_head(eeg)
    if left_out := [name for i, name in enumerate(eeg) if i not in columns]:
        notes.append(f"left out, as no EEG: {', '.join(left_out)}")
    picked = [eeg[i] for i in columns]
    labels = profile.labels if profile else standard_labels(picked)
    if bad := [name for name in picked if name in raw.info["bads"]]:
        notes.append(f"marked as bad in the file, but played: {', '.join(bad)}")
    return Recording(labels, float(raw.info["sfreq"]), _read_volts(raw, picked).T * 1e6, tuple(notes))


def _read_volts(raw: Any, names: list[str]) -> Any:
    """Return the samples in volts, with NaN where the amplifier paused: MNE itself lays zeros there."""
    paused = [i for i, text in enumerate(raw.annotations.description) if text.upper() == "BAD_ACQ_SKIP"]
    raw.set_annotations(raw.annotations[paused])
    return raw.get_data(picks=names, reject_by_annotation="NaN" if paused else None, verbose="error")
