"""Checks of `neurofb doctor` around a session: LSL on this computer and on the network, windows, sound.

Whatever may hang, abort or read its settings only once runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from neurofb.commands.doctor_checks import Finding

#: The setting with which streams find one another on a computer whose loopback has no multicast.
LSL_SETTING = """\
[multicast]
ResolveScope = machine
[lab]
KnownPeers = {127.0.0.1}
"""
#: The group that LSL asks within a site.
LSL_GROUP = "239.255.172.215"
FIND_S = 2.5
OUTLETS = 2

_SENDER = """
import sys
from neurofb.lsl.outlet import NumericOutlet, eeg_channels
name, n = sys.argv[1], int(sys.argv[2])
outlets = [NumericOutlet(f"{name}-{i}", eeg_channels(["Fz"]), 100.0, source_id=f"{name}-{i}") for i in range(n)]
print("sending", flush=True)
sys.stdin.read()
"""
_FINDER = """
import sys
from neurofb.lsl.inlet import LslClock, find_streams
name, n, wait_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
def look(for_s):
    return {facts.name for facts, _ in find_streams(wait_s=for_s) if facts.name.startswith(name)}
clock = LslClock()
start_s, found = clock.now_s(), look(0.3)
briefly = len(found)
while len(found) < n and clock.now_s() - start_s < wait_s:
    found |= look(1.0)
print(briefly, len(found))
"""
_WINDOWS = """
import sys
from neurofb.screens.start import NoScreen, check_display
try:
    check_display({"QT_QPA_PLATFORM": "offscreen"} if sys.argv[1] == "libraries" else None)
except NoScreen as problem:
    print(problem)
"""
_SOUND = """
try:
    import sounddevice
    facts = sounddevice.query_devices(None, "output")
    print("ok", facts["name"], f"{facts['default_samplerate']:g} Hz")
except ModuleNotFoundError:
    print("module")
except OSError as error:
    print("library", error)
except Exception as error:
    print("device", error)
"""


def lsl_findings(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Send two streams from one process and look for them from another, as headset and session do.

    Where they are not found, the setting that helps is tried before it is recommended.

    ``environment`` holds LSL's settings; the process's own if left out.
    """
    given = dict(os.environ if environment is None else environment)
    briefly, n = _found(given)
    if n == OUTLETS:
        return [_finds_all(briefly, given)]
    found = (
        f"{n} of {OUTLETS} streams of this computer were found in {FIND_S:g} s: its loopback has no multicast"
    )
    with tempfile.TemporaryDirectory() as folder:
        setting = Path(folder) / "lsl_api.cfg"
        setting.write_text(LSL_SETTING, "utf-8")
        _, helped = _found({**given, "LSLAPICFG": str(setting)})
    if helped == OUTLETS:
        return [Finding("LSL on this computer", "missing", found, _use_setting())]
    fix = (
        "the usual setting (KnownPeers) was tried and does not help: let a firewall pass UDP and TCP 16571–16604 on "
        "127.0.0.1, end programs with many LSL streams, and look at the file that LSLAPICFG names"
    )
    return [Finding("LSL on this computer", "missing", found, fix)]


def _finds_all(briefly: int, environment: Mapping[str, str]) -> Finding:
    check, found = "LSL on this computer", f"{OUTLETS} of {OUTLETS} streams found"
    if briefly == OUTLETS:
        return Finding(check, "ok", f"{found}, at once")
    if "KnownPeers" in _settings(environment):
        return Finding(check, "ok", f"{found}; the loopback has no multicast, but KnownPeers is set")
    found = (
        f"{found}, but only {briefly} at once: the loopback has no multicast, and programs that look only briefly, "
        "as LabRecorder, miss the others"
    )
    return Finding(check, "limited", found, _use_setting())


def _use_setting() -> str:
    return "put the LSL setting below into a file and name the file in the environment variable LSLAPICFG"


def _settings(environment: Mapping[str, str]) -> str:
    """Return the text of LSL's settings, as liblsl looks for them."""
    home = Path.home() / "lsl_api" / "lsl_api.cfg"
    places = [environment.get("LSLAPICFG", ""), "lsl_api.cfg", str(home), "/etc/lsl_api/lsl_api.cfg"]
    return next((Path(each).read_text("utf-8") for each in places if each and Path(each).is_file()), "")


def _found(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many of the streams were found in a brief look, and in a long one."""
    name = f"neurofb-doctor-{secrets.token_hex(4)}"
    with subprocess.Popen(
        [sys.executable, "-c", _SENDER, name, str(OUTLETS)],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdin is not None
        sender.stdout.readline()
        words = _output_of(_FINDER, name, str(OUTLETS), str(FIND_S), environment=environment).split()
        sender.stdin.close()
    return (int(words[0]), int(words[1])) if len(words) == 2 else (0, 0)


def _output_of(code: str, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """Run code in a process of its own; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=None if environment is None else dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise RuntimeError(last[0])
    return done.stdout.strip()


def hears_multicast(address: str) -> bool:
    """Return whether what is sent to LSL's group over an interface reaches two listeners on it.

    Two, because one hears a query even where there is no multicast: the one that took the port last.
    """
    word = secrets.token_bytes(8)
    try:
        with contextlib.ExitStack() as opened:
            first = opened.enter_context(_listener(address, 0))
            port = int(first.getsockname()[1])
            listeners = (first, opened.enter_context(_listener(address, port)))
            sender = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            sender.sendto(word, (LSL_GROUP, port))
            return all(listener.recv(64) == word for listener in listeners)
    except OSError:
        return False


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listener.settimeout(0.3)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT") and sys.platform == "darwin":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("", port))
        group = struct.pack("4s4s", socket.inet_aton(LSL_GROUP), socket.inet_aton(address))
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except OSError:
        listener.close()
        raise
    return listener


def network_findings(address: str | None = None) -> list[Finding]:
    """Send to LSL's multicast group over the network, and listen; without an address, name the EEG streams as well."""
    return [_multicast(address), *(stream_findings() if address is None else [])]


def stream_findings() -> list[Finding]:
    """Return each EEG stream that is there, with the program that sends it; one that never sends is limited."""
    from neurofb.commands.streams import STREAMS_S, find
    from neurofb.errors import StreamMissing
    from neurofb.lsl.senders import sender_of

    try:
        seen = [each for each in find(STREAMS_S) if each.sends is not None]
    except StreamMissing:
        seen = []
    findings = []
    for each in seen:
        names = [sender_of(each.facts, fit.profile).name for fit in each.fits]
        by = next(filter(None, names), "a program that is not recognised")
        found = f"{each.facts.describe()}: sent by {by}, samples {each.samples}"
        findings.append(Finding("EEG stream", "ok" if each.sends else "limited", found, each.hint))
    return findings or [Finding("EEG streams", "ok", "none is sent at the moment")]


def _multicast(address: str | None) -> Finding:
    ours = address or _network_address()
    check = "LSL on the network"
    if ours is None:
        return Finding(
            check, "limited", "no network", "streams of this computer only; a headset may be on it"
        )
    if hears_multicast(ours):
        found = f"multicast goes out and comes back on {ours}"
        return Finding(check, "ok", found + "; whether the network passes it on, a second computer tells")
    fix = (
        "to use streams of other computers, let a firewall pass UDP 16571–16604 and the group "
        f"{LSL_GROUP}, leave a VPN, or name the computers as KnownPeers in the LSL settings"
    )
    return Finding(check, "limited", f"no multicast on {ours}", fix)


def _network_address() -> str | None:
    """Return the address of the interface that LSL's group is reached over; None if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((LSL_GROUP, 16571))
        except OSError:
            return None
        address = str(asked.getsockname()[0])
    return None if address.startswith(("127.", "0.")) else address


def window_findings() -> list[Finding]:
    """Check whether the screens could open: Qt with its libraries, and a display."""
    problem = _output_of(_WINDOWS, "libraries")
    if problem:
        return [Finding("Qt", "limited", "the screens cannot open", problem)]
    findings = [Finding("Qt", "ok", "there, with its libraries")]
    problem = _output_of(_WINDOWS, "display")
    shown = Finding("display", "limited", "the screens cannot open here", problem)
    return [*findings, shown if problem else Finding("display", "ok", "there")]


def sound_findings() -> list[Finding]:
    """Check whether a sound could be played."""
    kind, _, rest = _output_of(_SOUND).partition(" ")
    fixes = {
        "module": ("the package sounddevice is not installed", "python -m pip install 'neurofb[sound]'"),
        "library": (
            f"PortAudio cannot be loaded: {rest}",
            "Debian, Ubuntu: sudo apt-get install libportaudio2",
        ),
        "device": (f"no sound device that can be used: {rest}", "connect loudspeakers or headphones"),
    }
    if kind == "ok":
        return [Finding("sound", "ok", rest)]
    return [Finding("sound", "limited", *fixes[kind])]
