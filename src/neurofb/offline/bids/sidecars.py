"""The JSON documents of a BIDS dataset: dataset description, EEG sidecar, protocol, provenance."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mne_bids.config import BIDS_VERSION

from neurofb import __version__
from neurofb.offline.bids.tables import write_json
from neurofb.offline.session import Session
from neurofb.offline.to_mne import positions
from neurofb.protocol.design import read_protocol

GENERATED_BY = [
    {
        "Name": "neurofb",
        "Version": __version__,
        "Description": "Real-time EEG engine for mindfulness practice during pain stimuli. Research software.",
    }
]
README = """# EEG with neurofeedback, recorded with neurofb

Each run is one session: EEG as BrainVision, what happened in it (`events`), the stimulator's temperature (`physio`),
the feedback as it was put out (`stim`), and the ratings (`beh`).

- `sourcedata/neurofb` holds each session as it was recorded: XDF, the protocol, and all settings.
- `derivatives/neurofb` holds the features that feedback was made of, the protocol, and the versions of all programs.

Where samples are missing, `events` says `BAD_gap` and a straight line takes their place. Electrode positions are
those of the standard 10-05 system; nobody's head was measured. Which group a participant is in does not stand here.

Recorded with research software: not a medical device, not for diagnosis, treatment or relief of pain.
"""


def write_about_dataset(data: Path) -> None:
    """Write the description of the dataset if there is none yet."""
    data.mkdir(parents=True, exist_ok=True)
    description = data / "dataset_description.json"
    if not description.exists():
        document = {
            "Name": "EEG with neurofeedback",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "Authors": ["n/a"],
            "GeneratedBy": GENERATED_BY,
        }
        write_json(description, document)
    if not any(data.glob("README*")):
        (data / "README.md").write_text(README, "utf-8", newline="\n")


def write_about_derivatives(folder: Path) -> None:
    """Write the description of the derivatives if there is none yet."""
    description = folder / "dataset_description.json"
    if not description.exists():
        document = {
            "Name": "Features, protocols and provenance of neurofb sessions",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": GENERATED_BY,
            "SourceDatasets": [{"URL": "../.."}],
        }
        write_json(description, document)


def complete_eeg_document(document: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """Return eeg.json with all that is known of how the EEG was recorded."""
    settings, recording = session.settings, session.recording
    device, study = settings.get("device") or {}, settings.get("protocol") or {}
    line_hz = (settings.get("loop") or {}).get("line_hz")
    packages = (settings.get("provenance") or {}).get("packages") or {}
    versions = [f"neurofb {(settings.get('provenance') or {}).get('neurofb', __version__)}"]
    versions += [f"{name} {packages[name]}" for name in ("pylsl", "numpy", "scipy") if packages.get(name)]
    labels, places = recording.labels, positions(recording)
    moved = [f"{label} at {places[label]}" for label in labels if places[label] != label]
    return {
        **document,
        "TaskName": settings["task"],
        "TaskDescription": study.get("title", "n/a"),
        "Manufacturer": device.get("manufacturer", "n/a"),
        "ManufacturersModelName": device.get("title", "n/a"),
        "SoftwareVersions": ", ".join(versions),
        "EEGReference": device.get("reference", "n/a"),
        "EEGGround": device.get("ground", "n/a"),
        "EEGPlacementScheme": "10-05 system, standard positions, not measured"
        + (f"; {', '.join(moved)}" if moved else ""),
        "Instructions": _instructions(recording.protocol_text),
        "MISCChannelCount": 0,
        "SamplingFrequency": recording.rate_hz,
        "PowerLineFrequency": "n/a" if line_hz is None else line_hz,
        "SoftwareFilters": "n/a",
        "HardwareFilters": _filters(device.get("hardware_filter")),
        "RecordingDuration": session.duration_s,
        "RecordingType": "continuous",
        "SubjectArtefactDescription": _artifacts(session),
        "RecordingComplete": session.is_whole,
    }


def _instructions(text: str) -> str:
    """Return the texts that participants read or hear, except in phases where these depend on the arm."""
    protocol, _ = read_protocol(text, "protocol.toml") if text else (None, [])
    if protocol is None:
        return "n/a"
    by_arm = {name for arm in protocol.arms for name in arm.texts}
    told = [
        f"{phase.name}: {phase.text}" for phase in protocol.phases if phase.text and phase.name not in by_arm
    ]
    return " | ".join(told) or "n/a"


def _filters(known: Mapping[str, Any] | None) -> Any:
    if not known:
        return "n/a"
    found: dict[str, Any] = {}
    for key, name in (("high_pass_hz", "HighPass"), ("low_pass_hz", "LowPass")):
        if known.get(key) is not None:
            found[name] = {"CutoffFrequency": known[key], "Units": "Hz"}
    if known.get("notches_hz"):
        found["Notch"] = {"Frequencies": list(known["notches_hz"]), "Units": "Hz"}
    return found or "n/a"


def _artifacts(session: Session) -> str:
    """Return how often feedback was withheld for which artifact."""
    counts: dict[str, int] = {}
    for each in session.annotations:
        if each.kind == "artifact":
            counts[each.name] = counts.get(each.name, 0) + 1
    if not counts:
        return "n/a"
    words = ", ".join(f"{name} {number} times" for name, number in sorted(counts.items()))
    return f"feedback was withheld for: {words}"


def protocol_document(text: str) -> tuple[dict[str, Any], str]:
    """Return the protocol without its arms, and what is wrong with it in words."""
    if not text:
        return {}, "the protocol is lost, so derivatives lack it"
    protocol, problems = read_protocol(text, "protocol.toml")
    if protocol is None:
        return {}, f"the protocol cannot be read by this version, so derivatives lack it: {problems[0][1]}"
    document = protocol.model_dump(mode="json", exclude={"arms"})
    for scale in document["scales"]:  # the ids of arms are left out here, too
        scale["conditions"] = list(scale["conditions"].values())
    document["sources"] = {k: v for k, v in document.get("sources", {}).items() if not k.startswith("arms")}
    return document, ""


def provenance_document(session: Session, date: datetime.datetime | None) -> dict[str, Any]:
    """Return the provenance of a session; the arm only as the hash that proves it afterwards."""
    settings = session.settings
    keys = ("uid", "participant", "session", "task", "run", "seed", "simulated")
    return {
        **{key: settings.get(key) for key in keys},
        "date": None if date is None else date.isoformat(),
        "protocol": settings.get("protocol"),
        "recording": {
            "file": f"sourcedata/neurofb/{session.recording.folder.name}/{session.recording.path.name}",
            "is_whole": session.is_whole,
            "problems": list(session.problems),
        },
        "provenance": settings.get("provenance"),
        "exported_with": {"neurofb": __version__},
    }
