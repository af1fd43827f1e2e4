"""Error messages as one page: what people did, what they read, the exit code.

A row is a mistake or a mishap: how things stand (a file on the desk, a stream on the network, what this computer
lacks), the words that are typed, what is read, in its order, and the exit code. Whatever the row, there is no
traceback; a refusal leaves the desk as it was; and one with exit code 2 starts no process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from lsl_senders import MUSE, outlet
from offline_parts import session as short_session
from protocol_parts import TEXT, text_with
from xdf_parts import header, numbers, record

from neurofb import cli, messages
from neurofb.acquisition import live
from neurofb.commands import doctor_checks, doctor_links
from neurofb.devices import load_profile
from neurofb.lsl import inlet
from neurofb.lsl.text import TextOutlet
from neurofb.screens import start

# -- how things stand --------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """An empty folder in which somebody sits, and what is undone when they leave."""

    folder: Path
    patch: pytest.MonkeyPatch
    undo: contextlib.ExitStack
    streams: dict[str, object] = field(default_factory=dict)  # on the network, by name
    sessions: list[str] = field(default_factory=list)  # that run, by uid
    somebody_else: int | None = None  # who types, by the number of the user

    def files(self) -> dict[str, bytes | None]:
        """Everything that lies there; a folder has no content."""
        paths = sorted(self.folder.rglob("*"))
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


Given = Callable[[Desk], object]


def nothing(desk: Desk) -> None:
    pass


def both(*several: Given) -> Given:
    return lambda desk: [given(desk) for given in several]


def file(name: str, content: str | bytes = "") -> Given:
    def put(desk: Desk) -> None:
        path = desk.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return put


def mine(*changes: tuple[str, str], more: str = "") -> Given:
    """A protocol of one's own, which is right but for these changes."""
    return file("mine.toml", text_with(*changes, more=more))


def read_only(name: str) -> Given:
    def close(desk: Desk) -> None:
        if not hasattr(os, "seteuid"):
            pytest.skip("folders cannot be closed to their owner here")
        (desk.folder / name).mkdir()
        (desk.folder / name).chmod(0o555)
        if os.geteuid() == 0:  # root may write everywhere: somebody else types
            desk.folder.chmod(0o755)
            desk.somebody_else = 65534

    return close


def stream(name: str, labels: tuple[str, ...] = MUSE, rate_hz: float = 256.0, **more) -> Given:
    def send(desk: Desk) -> None:
        desk.streams[name] = outlet(name, labels, rate_hz=rate_hz, **more)

    return send


def simulated_stream(name: str) -> Given:
    """A stream as the simulated headset sends it."""
    profile = load_profile("simulated")
    return stream(name, profile.labels, profile.rate_hz)


def running(uid: str) -> Given:
    """A session that runs, as far as screens look for one."""

    def run(desk: Desk) -> None:
        desk.sessions.append(uid)
        desk.undo.callback(
            TextOutlet(messages.STATUS, "Status", messages.source_id(uid, messages.STATUS), uid).close
        )

    return run


def display(desk: Desk) -> None:
    """A display, on which nothing is shown."""
    desk.patch.setattr(start, "check_display", lambda: None)
    desk.patch.setattr(start, "_application", lambda: pytest.fail("a window would open"))


def no_qt(desk: Desk) -> None:
    desk.patch.setattr(start.importlib.util, "find_spec", lambda _: None)


def qt(*, lacks: tuple[str, ...] = (), **environment: str) -> Given:
    """Qt on Linux with these variables of a display, and without these libraries."""

    def set_up(desk: Desk) -> None:
        if not sys.platform.startswith("linux"):
            pytest.skip("displays are another thing elsewhere")
        desk.patch.setattr(start.importlib.util, "find_spec", lambda _: True)
        desk.patch.setattr(start, "_is_there", lambda name: name not in lacks)
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            desk.patch.delenv(name, raising=False)
        for name, value in environment.items():
            desk.patch.setenv(name, value)

    return set_up


def no_multicast(desk: Desk) -> None:
    """A loopback on which streams find one another by LSL's setting only."""
    desk.patch.setattr(doctor_links, "_found", lambda given: (2, 2) if "LSLAPICFG" in given else (0, 0))
    desk.patch.delenv("LSLAPICFG", raising=False)


def needs(*libraries: str) -> Given:
    return lambda desk: desk.patch.setattr(doctor_checks.importlib.metadata, "requires", lambda _: libraries)


_RECORDED = tempfile.TemporaryDirectory(prefix="neurofb-messages-")
SESSION = "data/sourcedata/neurofb/sub-P01_ses-1_task-shortHeat_run-01"


@functools.cache
def _recorded() -> Path:
    data = Path(_RECORDED.name) / "data"
    data.mkdir()
    assert short_session(data).outcome.kind == "finished"
    return data


def recorded(change: Callable[[Path], object] = lambda folder: None) -> Given:
    """A recorded session in SESSION, with something done to its folder."""

    def put(desk: Desk) -> None:
        shutil.copytree(_recorded(), desk.folder / "data")
        change(desk.folder / SESSION)

    return put


def cut_in_half(folder: Path) -> None:
    path = folder / "recording.xdf"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(desk: Desk) -> None:
    """A recording of another program."""
    (desk.folder / "theirs").mkdir()
    values = numbers("float32", 50, 2)
    record(desk.folder / "theirs" / "recording.xdf", [(header(), values, np.arange(50) / 100.0)])


# -- the page ----------------------------------------------------------------------------------------------------------

AS_P07 = "--participant P07 --simulate --fast --data data"
LIVE = "--participant P07 --headless --data data"
PSEUDONYM = (
    'right is a code of letters and digits that means nothing, as "P07"; keep the list of names elsewhere'
)
LSL_ADVICE = (
    "Is the device's program running, and its LSL output switched on?",
    "LSLAPICFG",
    "[multicast]",
    "ResolveScope = machine",
    "KnownPeers = {127.0.0.1}",
)
Row = tuple[str, Given, str, tuple[str, ...], int]
PAGE: dict[str, list[Row]] = {}

PAGE["a protocol"] = [
    (
        "an unknown key",
        mine(("answer_s = 6.0", "answer_s = 6.0\ncolour = 3")),
        f"run mine.toml {AS_P07}",
        ("mine.toml has 1 problem:", "line 39, scales[1].colour: no such key;", "there are: answer_s, asks,"),
        2,
    ),
    (
        "a key with a slip of the pen",
        mine(("plateau_s = 3.0", "plateau_s = 3.0\nplateu_s = 5.0")),
        f"run mine.toml {AS_P07}",
        ("line 26, heat.levels.warm.plateu_s: no such key; did you mean 'plateau_s'?", "there are: celsius,"),
        2,
    ),
    (
        "an impossible time",
        mine(("plateau_s = 5.0", "plateau_s = -5.0")),
        f"run mine.toml {AS_P07}",
        (
            "line 29, heat.levels.hot.plateau_s: found -5.0: it should be greater than or equal to 0",
            "needed is how long the temperature is held, without ramps: 0 to 600 s",
        ),
        2,
    ),
    (
        "a time that is a word",
        mine(("duration_s = 30.0", 'duration_s = "long"')),
        f"run mine.toml {AS_P07}",
        (
            "line 43, phases[1].duration_s: found 'long': it should be a valid number; needed is how long it lasts",
        ),
        2,
    ),
    (
        "a temperature that nobody may have",
        mine(("celsius = 46.0", "celsius = 51.0")),
        f"run mine.toml {AS_P07}",
        ("line 28, heat.levels.hot.celsius: found 51.0: it should be less than or equal to 50",),
        2,
    ),
    (
        "a temperature above the envelope",
        mine(("celsius = 46.0", "celsius = 49.5")),
        f"run mine.toml {AS_P07}",
        ("line 27, heat.levels.hot: 49.5 °C is asked; at most 49 °C is allowed",),
        2,
    ),
    (
        "one stimulus too long for its temperature",
        mine(("celsius = 46.0", "celsius = 48.5"), ("plateau_s = 5.0", "plateau_s = 30.0")),
        f"run mine.toml {AS_P07}",
        (
            "line 27, heat.levels.hot: 30 s at 48.5 °C with its ramps is 0.90 of the contact-burn line",
            "one stimulus may be 0.5 of it: at most 16.5 s would be right",
        ),
        2,
    ),
    (
        "stimuli too close to one another",
        mine(("relief_s = 3.0", "relief_s = 0.0"), ('ratings = ["intensity"]', "")),
        f"run mine.toml {AS_P07}",
        (
            "phases[2].trials: trial 2 at left, 38.0 s after the start: the last stimulus at this place ended 2.0 s "
            "before; at least 8 s must lie between",
        ),
        2,
    ),
    (
        "a site over its budget",
        mine(
            ('sites = ["left", "right"]\nrotation = "by block"', 'sites = ["left"]\nrotation = "fixed"'),
            ('order = ["warm", "hot"]', f"order = {json.dumps(['hot'] * 40)}"),
            ("celsius = 46.0\nplateau_s = 5.0", "celsius = 48.0\nplateau_s = 8.0"),
        ),
        f"run mine.toml {AS_P07}",
        (
            "phases[2].trials: trial 6 at left, 147.0 s after the start: this place on the skin has had 0.90 of its "
            "budget of 1 and the stimulus adds 0.19",
            "another place, or a lower or shorter stimulus, would be right",
        ),
        2,
    ),
    (
        "a region that this headset lacks",
        nothing,
        f"run demo --device muse-2 {AS_P07}",
        (
            "demo.toml has 2 problems:",
            "line 12, features[1]: with Muse 2: feature 'frontal_midline_theta': there is no region 'frontal_midline'",
            "there are: frontal, frontal_left, frontal_right, temporal,",
            "line 15, features[2]: with Muse 2: feature 'posterior_alpha': there is no region 'posterior'",
        ),
        2,
    ),
    (
        "everything at once",
        mine(
            ('preset = "posterior_alpha"', 'preset = "posterior_alfa"'),
            ("celsius = 36.0", "celsius = 51.0"),
            ("plateau_s = 5.0", "plateau_s = -5.0\nplateu = 3"),
            ("duration_s = 30.0", 'duration_s = "long"'),
        ),
        "run mine.toml --device muse2 --participant 'Anna Berg' --simulate --fast --data data",
        (
            "this session cannot start, 2 things are wrong:",
            "no device profile 'muse2'; did you mean 'muse-2'?",
            "mine.toml has 5 problems:",
            "line 9, features[1]: no preset 'posterior_alfa'; did you mean 'posterior_alpha'?",
            "line 24, heat.levels.warm.celsius: found 51.0",
            "line 29, heat.levels.hot.plateau_s: found -5.0",
            "line 30, heat.levels.hot.plateu: no such key",
            "line 44, phases[1].duration_s: found 'long'",
            "the participant code 'Anna Berg' has a space in it",
        ),
        2,
    ),
    (
        "looked at before",
        mine(("plateau_s = 5.0", "plateau_s = -5.0"), ("duration_s = 30.0", 'duration_s = "long"')),
        "check mine.toml",
        ("mine.toml has 2 problems:", "line 29, heat.levels.hot.plateau_s", "line 43, phases[1].duration_s"),
        2,
    ),
    (
        "looked at by a program",
        mine(("plateau_s = 5.0", "plateau_s = -5.0")),
        "check mine.toml --json",
        ('"problems": [', "line 29, heat.levels.hot.plateau_s: found -5.0"),
        2,
    ),
    (
        "for a newer neurofb",
        file("mine.toml", TEXT.replace('">=0.1"', '">=9.0"')),
        f"run mine.toml {AS_P07}",
        ("line 2, neurofb: found '>=9.0': this is neurofb 0.", "install a newer one to run this protocol"),
        2,
    ),
    (
        "that is not TOML",
        mine(more="\n[heat\n"),
        f"run mine.toml {AS_P07}",
        ("mine.toml is not TOML:", "line 56, column 6", "text needs quotes, and a key stands once"),
        2,
    ),
    (
        "that is not text",
        file("mine.toml", b"\xff\xfe\x00"),
        f"run mine.toml {AS_P07}",
        ("mine.toml is text in UTF-16", "save it as UTF-8"),
        2,
    ),
    (
        "that is empty",
        file("mine.toml"),
        f"run mine.toml {AS_P07}",
        (
            "mine.toml has 4 problems:",
            'the version of neurofb it needs at least, as ">=0.1"',
            "[[phases]], in their",
        ),
        2,
    ),
]

PAGE["a participant's code"] = [
    (words, nothing, f"run demo --participant {shlex.quote(code)} --simulate --fast --data data", read, 2)
    for words, code, read in [
        ("a name", "Anna Berg", ("neurofb: the participant code 'Anna Berg' has a space in it", PSEUDONYM)),
        ("a date", "1984-03-12", ("looks like a date, and a birthday tells who somebody is", PSEUDONYM)),
        ("a date in digits", "19840312", ("looks like a date, and a birthday tells", PSEUDONYM)),
        ("an e-mail", "anna@lab.org", ("'anna@lab.org' looks like an e-mail address", PSEUDONYM)),
        ("a name and a year", "Berg1984", ("looks like a name or initials with a year of birth", PSEUDONYM)),
        ("an umlaut", "Jürgen", ("has a letter with an accent or umlaut", PSEUDONYM)),
        ("a sign", "P-7", ("'P-7' has - in it, which BIDS labels cannot have", PSEUDONYM)),
        ("nothing", "", ("the participant code '' is empty", PSEUDONYM)),
    ]
] + [
    ("left out", nothing, "run demo --simulate --fast --data data", ("Missing option '--participant'",), 2),
    ("of a check", nothing, "check demo --participant P.7", ("'P.7' has . in it", PSEUDONYM), 2),
]

PAGE["a name that does not exist"] = [
    (
        "a protocol",
        nothing,
        f"run dmo {AS_P07}",
        (
            "no protocol 'dmo'; did you mean 'demo'? there are: breath-heat,",
            "A protocol of your own is given by its path, as ./my-study.toml",
        ),
        2,
    ),
    (
        "a protocol's file",
        mine(),
        f"run min.toml {AS_P07}",
        (
            "no protocol file min.toml; in its folder did you mean 'mine.toml'?",
            "bundled protocols are breath-heat",
        ),
        3,
    ),
    (
        "a device",
        nothing,
        f"run demo --device muse2 {AS_P07}",
        (
            "no device profile 'muse2'; did you mean 'muse-2'? there are: actichamp-32,",
            "A profile of your own is given by its path, as ./my-headset.toml",
        ),
        3,
    ),
    (
        "a device to look up",
        nothing,
        "devices muse2",
        ("no device profile 'muse2'; did you mean 'muse-2'?",),
        3,
    ),
    (
        "a device to send",
        nothing,
        "simulate muse2",
        ("no device profile 'muse2'; did you mean 'muse-2'?",),
        3,
    ),
    (
        "a session",
        nothing,
        f"run zeidan-adapted --session 9 --arm book {AS_P07}",
        ("no session '9' in this protocol; there are: 1, 2, 3, 4, after, before",),
        2,
    ),
    (
        "an arm",
        nothing,
        f"run zeidan-adapted --session 1 --arm tape {AS_P07}",
        ("no arm 'tape' in this protocol; there are: book, mindfulness,",),
        2,
    ),
    (
        "an arm, left out",
        nothing,
        f"run zeidan-adapted --session 1 {AS_P07}",
        ("this protocol has several arms (A, B, C, D): say which one with --arm, by its id in the file",),
        2,
    ),
    (
        "a thermode",
        nothing,
        "run demo --participant P07 --simulate --thermode medoc --data data",
        (
            "no stimulator 'medoc'; did you mean 'medoc-tsa-2'? there are: medoc-main-station, medoc-tsa-2, "
            "simulated, tcs-ii; say which with --thermode",
        ),
        2,
    ),
    (
        "a bench of what needs none",
        nothing,
        "bench simulated --by Ann --on-a-dummy",
        ("the simulated thermode needs no bench; give the file of a real one",),
        2,
    ),
    (
        "a thermode's fault",
        nothing,
        "run demo --participant P07 --simulate --thermode-fault stuk@4 --data data",
        ("no thermode fault 'stuk'; did you mean 'stuck'? there are:", "write stuck@12.5 (from 12.5 s on)"),
        2,
    ),
    (
        "a headset's fault",
        nothing,
        f"run demo --fault stal@4 {AS_P07}",
        ("no fault 'stal' as in 'stal@4'; did you mean 'stall'?", "write stall@10+2 (at 10 s for 2 s)"),
        2,
    ),
    (
        "a channel for a fault",
        nothing,
        f"run demo --fault off@3+2:Q9 {AS_P07}",
        ("no channel 'Q9' to go bad; there are: C3, C4, Cz,",),
        2,
    ),
    ("a command", nothing, "frobnicate", ("No such command 'frobnicate'",), 2),
    (
        "a file to play",
        file("rest.edf"),
        "play ret.edf",
        ("no file ret.edf; in its folder did you mean 'rest.edf'? there are: rest.edf",),
        3,
    ),
    (
        "a language of the screens",
        nothing,
        "screen participant --language fr",
        ("Invalid value for '--language': 'fr' is not one of 'en', 'de'",),
        2,
    ),
]

PAGE["a blinded study that lacks something"] = [
    (
        "an allocation without its keys",
        nothing,
        "allocate study.toml --key a.pub --out envelopes",
        ("--emergency and --engine missing", "give their .pub files, which neurofb keys makes"),
        2,
    ),
    (
        "a pool without its protocol",
        nothing,
        "donors check pool",
        ("Missing option '--protocol'",),
        2,
    ),
    (
        "keys of nobody",
        nothing,
        "keys --out keys",
        ("Missing argument",),
        2,
    ),
    (
        "an envelope of a participant who has none",
        nothing,
        "unblind P07 --envelope nowhere --key a.key --first A --second B --reason none",
        ("no envelope was opened for 'P07'; there are none",),
        2,
    ),
    (
        "a key that is not there",
        nothing,
        "unlock nowhere --key a.key --study-is-locked",
        ("the private key a.key cannot be read: No such file or directory; neurofb keys makes one",),
        2,
    ),
    (
        "a protocol that nobody knows",
        nothing,
        "protocols dmeo",
        ("no bundled protocol 'dmeo'; did you mean 'demo'? there are: breath-heat",),
        2,
    ),
]

PAGE["words that do not go together"] = [
    (
        "the key of a list without its folder",
        nothing,
        "blinding neurofb-data --key statistician.key",
        (
            "--envelope DIR and --key FILE belong together: the folder of neurofb allocate, and the statistician's key",
        ),
        2,
    ),
    (
        "--fast without --simulate",
        nothing,
        "run demo --participant P07 --fast --data data",
        (
            "--fast is for simulated sessions: a headset's second lasts a second; leave it out, or add --simulate",
        ),
        2,
    ),
    (
        "--fault without --simulate",
        nothing,
        "run demo --participant P07 --fault stall@3+2 --data data",
        ("--fault stall@3+2 is for simulated headsets", "leave it out, or add --simulate"),
        2,
    ),
    (
        "a fault without its time",
        nothing,
        f"run demo --thermode-fault stuck@soon {AS_P07}",
        ("the thermode's fault 'stuck@soon' cannot be read; write stuck@12.5 (from 12.5 s on)",),
        2,
    ),
    (
        "no time to look",
        nothing,
        "streams --wait 0",
        ("Invalid value for '--wait': 0.0 is not in the range 0<x<=600",),
        2,
    ),
    ("a delay without its stream", nothing, "latency screen", ("Missing option '--stream'",), 2),
]

PAGE["an earlier session as a baseline"] = [
    (
        "a folder without one",
        file("P07/notes.txt"),
        f"run demo --baseline P07 {AS_P07}",
        (
            "no baseline in P07: a session's folder has baseline.json once its baselines are taken; give such a",
        ),
        3,
    ),
    (
        "a folder that is not there",
        nothing,
        f"run demo --baseline P08 {AS_P07}",
        ("no baseline in P08: a session's folder has baseline.json",),
        3,
    ),
    (
        "a file that is no JSON",
        file("P07/baseline.json", "not JSON"),
        f"run demo --baseline P07 {AS_P07}",
        (
            "P07/baseline.json is not what a session writes about its participant",
            "give the folder of a session",
        ),
        2,
    ),
    (
        "a file of something else",
        file("P07/baseline.json", '{"a": 1}'),
        f"run demo --baseline P07 {AS_P07}",
        (
            "is not what a session writes about its participant: 'calibration' is missing; give the folder of a",
        ),
        2,
    ),
    (
        "a list",
        file("P07/baseline.json", "[1]"),
        "check demo --baseline P07",
        (
            "P07/baseline.json is not what a session writes",
            "needed is a table with spectrum, iaf_hz and baselines",
        ),
        2,
    ),
]

PAGE["the EEG stream"] = [
    (
        "none",
        nothing,
        f"run demo {LIVE}",
        (
            "no stream from Simulated headset came up in 10 s. No stream at all was seen meanwhile.",
            *LSL_ADVICE,
        ),
        3,
    ),
    (
        "none of this name",
        simulated_stream("Lab EEG"),
        f"run demo --stream 'Lab EG' {LIVE}",
        (
            "no stream named 'Lab EG' from Simulated headset came up in 10 s. Seen meanwhile:",
            "'Lab EEG', type 'EEG', 16 ch, 250 Hz, on ",
            "Names: did you mean 'Lab EEG'?",
        ),
        3,
    ),
    (
        "two that fit",
        both(simulated_stream("Lab EEG"), simulated_stream("Lab EEG 2")),
        f"run demo {LIVE}",
        (
            "asked for one stream from Simulated headset, found 2:",
            "type 'EEG', 16 ch, 250 Hz, on ",
            "Say which: by its name (--stream), its device (--device), or a predicate (--where \"uid='…'\")",
        ),
        3,
    ),
    (
        "a pattern given as a name",
        simulated_stream("Lab EEG"),
        f"run demo --stream 'Lab*' {LIVE}",
        (
            "no stream named 'Lab*' from Simulated headset came up in 10 s.",
            "A name is taken as it is; a pattern is given by --stream-like",
        ),
        3,
    ),
    (
        "a program that the profile does not know",
        nothing,
        f"run demo --device muse-2 --program muselsk {LIVE}",
        ("the profile of Muse 2 knows no program 'muselsk'; did you mean 'muselsl'?",),
        2,
    ),
    (
        "of another device",
        stream("Muse"),
        f"run demo --stream Muse {LIVE}",
        (
            "the stream 'Muse', type 'EEG', 4 ch, 256 Hz,",
            "is not from Simulated headset: its channels TP9, AF7, AF8, TP10 are not Fp1, Fp2,",
            "Choose the stream or the device that fits; `neurofb streams` shows both",
        ),
        3,
    ),
    (
        "of text",
        stream("Notes", (), n_channels=1, type_="Markers", value_format="string", rate_hz=0.0),
        f"run demo --stream Notes {LIVE}",
        (
            "the stream 'Notes', type 'Markers', 1 ch, irregular,",
            "carries text, not samples; choose the EEG stream",
        ),
        3,
    ),
    (
        "a predicate that is none",
        nothing,
        f'run demo --where "name==\'Lab" {LIVE}',
        ("is no predicate that LSL understands; right is a condition of XPath 1.0, such as name='Muse'",),
        2,
    ),
]

PAGE["where it is recorded"] = [
    (
        "a folder that is read-only",
        read_only("data"),
        f"run demo {AS_P07}",
        (
            "no folder for the session can be made in data/sourcedata/neurofb: Permission denied",
            "choose another with --data, or make this one writable",
        ),
        3,
    ),
    (
        "a file",
        file("data"),
        f"run demo {AS_P07}",
        ("Invalid value for '--data': Directory 'data' is a file",),
        2,
    ),
    (
        "a file, for the demonstration",
        file("notes"),
        "demo --fast --out notes",
        ("Invalid value for '--out': Directory 'notes' is a file",),
        2,
    ),
    (
        "in a file",
        file("notes"),
        "run demo --participant P07 --simulate --fast --data notes/data",
        (
            "no folder for the session can be made in notes/data/sourcedata/neurofb:",
            "choose another with --data",
        ),
        3,
    ),
]

NO_RECORDING = "no recording nowhere; give the file, or the folder of a session"
NOT_OURS = (
    "theirs/recording.xdf is no session of neurofb: it has no stream 'neurofb-placement'; its EEG can be played with "
    "neurofb play, and every other program that reads XDF reads it"
)
PAGE["a recorded session"] = [
    ("that is not there, again", nothing, "rerun nowhere --check", (NO_RECORDING,), 3),
    ("that is not there, reported", nothing, "report nowhere", (NO_RECORDING,), 3),
    (
        "that is not there, shared",
        nothing,
        "share nowhere --out copy",
        ("nowhere is neither a session, which has recording.xdf, nor a dataset with sessions",),
        3,
    ),
    (
        "of nobody known, for the account of the skin",
        nothing,
        "skin P99",
        (
            "no participant 'P99': neither the account of the skin",
            "knows this code; give another file with --skin-account",
        ),
        2,
    ),
    (
        "that is not there, exported",
        nothing,
        "export nowhere",
        (
            "nowhere is neither a session, which has recording.xdf, nor a dataset with sessions in sourcedata/neurofb",
        ),
        3,
    ),
    (
        "that is not there, for its guesses",
        nothing,
        "blinding nowhere",
        ("nowhere is neither a session, which has recording.xdf, nor a dataset with sessions",),
        3,
    ),
    (
        "a folder without one",
        file("mine/notes.txt"),
        "rerun mine",
        ("the folder mine has no recording.xdf: it is no session, or one that never began",),
        3,
    ),
    (
        "a text, again",
        file("a.txt", "x"),
        "rerun a.txt",
        ("a.txt is no XDF file: it does not begin with 'XDF:'",),
        2,
    ),
    ("a text, reported", file("a.txt", "x"), "report a.txt", ("a.txt is no XDF file",), 2),
    (
        "a text, exported",
        file("a.txt", "x"),
        "export a.txt",
        ("a.txt is no session; give the folder of one, which has recording.xdf",),
        2,
    ),
    ("of another program, again", foreign, "rerun theirs", (NOT_OURS,), 2),
    ("of another program, reported", foreign, "report theirs", (NOT_OURS,), 2),
    ("of another program, exported", foreign, "export theirs --out data", (NOT_OURS,), 2),
    (
        "of no dataset",
        foreign,
        "export theirs",
        (
            "theirs does not lie in a dataset, as DATASET/sourcedata/neurofb/…; say with --out where the export is to",
        ),
        2,
    ),
    (
        "without its settings, again",
        recorded(lambda folder: (folder / "session.json").unlink()),
        f"rerun {SESSION} --check",
        (
            "recording.xdf has no settings: what the session was made of stands in session.json beside",
            "give the folder",
        ),
        2,
    ),
    (
        "without its settings, exported",
        recorded(lambda folder: (folder / "session.json").unlink()),
        f"export {SESSION}",
        (
            "cannot be exported: its settings do not say whose it is ('participant'); they stand in session.json",
        ),
        2,
    ),
    (
        "exported into a file",
        both(recorded(), file("notes")),
        f"export {SESSION} --out notes",
        ("the session cannot be written to notes: File exists; say with --out where there is room for it",),
        3,
    ),
    (
        "held against another protocol that does not exist",
        recorded(),
        f"rerun {SESSION} --protocol dmo",
        ("no protocol 'dmo'; did you mean 'demo'?",),
        2,
    ),
    (
        "broken off, again",
        recorded(cut_in_half),
        f"rerun {SESSION} --check",
        (
            "note: the recording was broken off; it is compared as far as it goes,",
            "note: the file was broken off or is damaged from byte ",
            "everything before is read",
            "equal to the last bit",
        ),
        0,
    ),
    (
        "broken off, exported",
        recorded(cut_in_half),
        f"export {SESSION}",
        ("exported: ", "note: the session was broken off and is exported as far as it goes,"),
        0,
    ),
    (
        "broken off, reported",
        recorded(cut_in_half),
        f"report {SESSION}",
        ("note: the recording is not whole; the report says what it lacks", "report: "),
        0,
    ),
]

NO_DISPLAY = (
    "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. Start the screen on a desktop,",
    "over ssh with `ssh -X`, or without any monitor under `xvfb-run",
)
REACHABLE = "The session's terminal shows its uid; a session on another computer must be reachable over LSL"
PAGE["a screen"] = [
    (
        "without Qt",
        no_qt,
        "screen participant",
        ("the screens need Qt, which is not installed: pip install 'neurofb[screens]'",),
        2,
    ),
    ("for the participant, without a display", qt(), "screen participant", NO_DISPLAY, 2),
    ("for the operator, without a display", qt(), "screen operator", NO_DISPLAY, 2),
    ("before a session, without a display", qt(), "screen setup", NO_DISPLAY, 2),
    (
        "without the libraries of Qt",
        qt(lacks=("libEGL.so.1", "libxkbcommon.so.0"), QT_QPA_PLATFORM="offscreen"),
        "screen operator",
        (
            "Qt needs libraries that are not there: libEGL.so.1, libxkbcommon.so.0. On Debian or Ubuntu:",
            "sudo apt-get install libegl1 libxkbcommon0",
        ),
        2,
    ),
    (
        "without the libraries of a display",
        qt(lacks=("libxcb-cursor.so.0",), DISPLAY=":0"),
        "screen participant",
        ("Qt needs libraries that are not there: libxcb-cursor.so.0.", "sudo apt-get install libxcb-cursor0"),
        2,
    ),
    (
        "of a session that is not there",
        display,
        "screen operator --session 7f3a",
        ("no session '7f3a'; no session is seen on the network.", REACHABLE),
        3,
    ),
    (
        "of another session than the one that runs",
        both(display, running("a1b2c3d4")),
        "screen participant --session 7f3a",
        ("no session '7f3a'; there are: a1b2c3d4.", REACHABLE),
        3,
    ),
    (
        "of one of two sessions",
        both(display, running("a1b2c3d4"), running("e5f6a7b8")),
        "screen participant",
        ("which session? say --session UID; there are: a1b2c3d4, e5f6a7b8.",),
        3,
    ),
    (
        "for the ears, of no session",
        nothing,
        "screen sound --silent --session 7f3a",
        ("no session '7f3a'; no session is seen on the network.", REACHABLE),
        3,
    ),
]

PAGE["the delay of a screen or the sound"] = [
    (
        "a stream that is not there",
        nothing,
        "latency sound --stream Photo",
        ("no stream named 'Photo' came up in 5 s. No stream at all was seen meanwhile.", *LSL_ADVICE),
        3,
    ),
    (
        "a channel that was not said",
        stream("Photo", ("light", "sound")),
        "latency sound --stream Photo",
        ("the stream 'Photo' has 2 channels; say which with --channel: light, sound",),
        2,
    ),
    (
        "a channel that is not there",
        stream("Photo", ("light", "sound")),
        "latency sound --stream Photo --channel ligt",
        ("the stream 'Photo' has no channel 'ligt'; did you mean 'light'? there are: light, sound",),
        2,
    ),
]

PAGE["this computer"] = [
    (
        "without multicast",
        no_multicast,
        "doctor",
        (
            "LSL on this computer\tmissing\t0 of 2 streams of this computer were found in 2.5 s: its loopback has no",
            "put the LSL setting below into a file and name the file in the environment variable LSLAPICFG",
            "The LSL setting that helps:",
            "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}",
            "A session cannot run here yet. Missing: LSL on this computer.",
        ),
        3,
    ),
    (
        "without a library",
        both(
            needs("no-such-library>=1.0"),
            lambda desk: desk.patch.setattr(doctor_links, "_found", lambda _: (2, 2)),
        ),
        "doctor",
        (
            "library no-such-library\tmissing\tnot installed\tpython -m pip install 'no-such-library>=1.0'",
            "A session cannot run here yet. Missing: library no-such-library.",
        ),
        3,
    ),
]

ROWS = [pytest.param(*row[1:], id=f"{part}: {row[0]}") for part, rows in PAGE.items() for row in rows]


# -- the one test ------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """An empty desk; the network has what stands on the page, and is looked at for a second."""
    with contextlib.ExitStack() as undo:
        desk = Desk(tmp_path, monkeypatch, undo)
        find, sessions_seen = inlet.find_streams, start.sessions_seen

        def seen(query=None, wait_s=2.0, stop=None):
            found = find(query, min(wait_s, 1.0), stop)
            return [(facts, info) for facts, info in found if facts.name in desk.streams]

        def running_now(uid, _wait_s):
            found: list[str] = []
            for _ in range(20):
                found = [
                    each
                    for each in sessions_seen(uid, 1.0 if desk.sessions else 0.1)
                    if each in desk.sessions
                ]
                if len(found) == len(desk.sessions):
                    break
            return found

        monkeypatch.setattr(inlet, "find_streams", seen)
        monkeypatch.setattr(live, "find_streams", seen)
        monkeypatch.setattr(start, "sessions_seen", running_now)
        monkeypatch.chdir(tmp_path)
        yield desk


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The processes of neurofb that were started since."""
    made: list[object] = []
    make = subprocess.Popen.__init__

    def making(self, words, *more, **options):
        if words[0] == sys.executable:  # libraries ask the system for its name
            made.append(words)
        make(self, words, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", making)
    return made


def typed(words: str, desk: Desk) -> int:
    """Type a command as a person does; give its exit code."""
    desk.patch.setattr(sys, "argv", ["neurofb", *shlex.split(words)])
    with contextlib.ExitStack() as undo:
        if desk.somebody_else is not None:
            os.seteuid(desk.somebody_else)
            undo.callback(os.seteuid, 0)
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def in_order(fragments: tuple[str, ...], text: str) -> str:
    """Return the first fragment that does not come after those before it; empty if all do."""
    at = 0
    for fragment in fragments:
        at = text.find(fragment, at)
        if at < 0:
            return fragment
        at += len(fragment)
    return ""


@pytest.mark.parametrize("given, words, read, code", ROWS)
def test_error_message_has_cause_and_remedy(given, words, read, code, desk, started, capsys):
    given(desk)
    before = desk.files()
    capsys.readouterr()
    exit_code = typed(words, desk)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert exit_code == code, out + err
    is_table = words == "doctor" or "--json" in words
    shown = out if code == 0 or is_table else err
    assert not in_order(read, shown), shown
    if "--json" in words:
        json.loads(out)
    if code and not is_table:
        assert re.search(r"^(neurofb|Error): ", err, re.MULTILINE), err
    if code == 2:
        assert not started
    if code:
        assert desk.files() == before


def test_every_command_is_on_the_page():
    on_page = {shlex.split(words)[0] for rows in PAGE.values() for _, _, words, _, _ in rows}
    assert on_page >= set(cli.NAMES)
