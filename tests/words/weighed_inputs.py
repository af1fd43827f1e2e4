"""Run the command line on inputs that claim too much, each in a process of its own that may not take much.

python weighed_inputs.py FOLDER writes a JSON document: name → exit code and message. Each process has 2 s of
processor time and 300 MB more than what is loaded before.
"""

from __future__ import annotations

import gzip
import importlib.resources
import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

CPU_S, MEMORY = 2, 300_000_000


def xdf(header: bytes, n_values: int = 0) -> bytes:
    """Return an XDF file of one stream with a sample of so many float32."""

    def chunk(tag: int, body: bytes) -> bytes:
        return b"\x08" + struct.pack("<QH", len(body) + 2, tag) + body

    sample = struct.pack("<I", 1) + b"\x01\x01\x08" + struct.pack("<d", 1.0) + bytes(4 * n_values)
    return b"".join(
        (
            b"XDF:",
            chunk(1, b"<info><version>1.0</version></info>"),
            chunk(2, struct.pack("<I", 1) + header),
            chunk(3, sample) if n_values else b"",
        )
    )


def stream(n_channels: int, form: str = "float32") -> bytes:
    """Return the header of an EEG stream."""
    return (
        f"<info><name>a</name><type>EEG</type><channel_count>{n_channels}</channel_count>"
        f"<channel_format>{form}</channel_format><nominal_srate>100</nominal_srate></info>"
    ).encode()


def edf(n_signals: str = "1", duration_s: str = "1", n_samples: str = "100", header: str = "512") -> bytes:
    """Return an EDF file of one record of one signal, whatever it claims."""
    fixed = b"0".ljust(8) + bytes(b"X" * 160) + b"01.01.0101.01.01" + header.encode().ljust(8) + b" " * 44
    fixed += b"1".ljust(8) + duration_s.encode().ljust(8) + n_signals.encode().ljust(4)
    words = (
        ("EEG Fz", 16),
        ("", 80),
        ("uV", 8),
        ("-100", 8),
        ("100", 8),
        ("-32768", 8),
        ("32767", 8),
        ("", 80),
    )
    return fixed + b"".join(f.encode().ljust(n) for f, n in (*words, (n_samples, 8), ("", 32))) + bytes(200)


def brainvision(**given: str) -> str:
    """Return a header."""
    keys = {"DataFile": "a.eeg", "MarkerFile": "", "DataFormat": "BINARY", "DataOrientation": "MULTIPLEXED"}
    keys |= {"NumberOfChannels": "1", "SamplingInterval": "4000", **given}
    rows = "\n".join(f"{key}={value}" for key, value in keys.items())
    return (
        f"BrainVision Data Exchange Header File Version 1.0\n[Common Infos]\n{rows}\n[Binary Infos]\n"
        "BinaryFormat=INT_16\n[Channel Infos]\nCh1=Fz,,0.1,µV\n"
    )


def cases(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Return each input's name and the command that takes it."""
    demo = importlib.resources.files("neurofb.protocols").joinpath("demo.toml").read_text("utf-8")

    def put(name: str, content: bytes | str) -> str:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def check(name: str, text: str) -> tuple[str, list[str]]:
        return name, ["check", put(f"{len(os.listdir(folder))}.toml", text), "--device", "simulated"]

    def play(name: str, ending: str, content: bytes | str) -> tuple[str, list[str]]:
        return name, ["play", put(f"{len(os.listdir(folder))}.{ending}", content)]

    def sparse(path: str) -> str:
        os.truncate(path, 200_000_000)
        return path

    def repeated(table: str, n: int) -> str:
        return demo + "".join(
            f'\n[[{table}]]\nname = "n{i}"\nkind = "instruction"\ntext = "x"\n' for i in range(n)
        )

    fifo = folder / "pipe"
    for ending in ("toml", "xdf", "edf", "vhdr", "txt"):
        os.mkfifo(fifo.with_suffix(f".{ending}"))
    os.mkfifo(folder / "pipe.eeg")
    put("a.eeg", bytes(2000))
    yield check("nested lists", f"{demo}\nx = {'[' * 50_000}{']' * 50_000}\n")
    yield check("nested tables", f"{demo}\nx = {'{a=' * 20_000}1{'}' * 20_000}\n")
    yield check("names of a key", f"[{'.'.join('a' * 50_000)}]\n")
    yield check("many tables", "".join(f"[a{i}]\n" for i in range(300_000)))
    yield check("digits of a number", f"x = {'9' * 5000}\n")
    yield "huge protocol", ["check", sparse(put("huge.toml", demo)), "--device", "simulated"]
    yield check("20,000 phases", repeated("phases", 20_000))
    yield check("2,000 phases", repeated("phases", 2000))
    yield check(
        "100,000 trials",
        demo.replace('order = ["warm", "hot"', 'order = ["warm", ' + '"hot",' * 20_000 + '"hot"'),
    )
    counts = demo.replace('order = ["warm", "hot", "warm", "hot"]', "counts = { warm = 1000000000 }")
    yield check("a billion repeats", counts)
    yield check("many wrong keys", demo + "".join(f"\n[[phases]]\nx{i} = 1" for i in range(8000)))
    preset = 'preset = "frontal_midline_theta"'
    yield check("a band of 0.0001 Hz", demo.replace(preset, f"{preset}\nband = [0.0001, 0.0002]", 1))
    yield check("years of baseline", demo.replace("longest_s = 60.0", "longest_s = 1e12"))
    yield "pipe as protocol", ["check", str(fifo.with_suffix(".toml")), "--device", "simulated"]
    yield "pipe as device", ["check", "demo", "--device", str(fifo.with_suffix(".toml"))]
    yield "NUL in a path", ["check", "a\0b.toml", "--device", "simulated"]
    yield "NUL in a recording's path", ["play", "a\0b.xdf"]
    yield "digits in a device", ["devices", put("device.toml", f"x = {'9' * 5000}")]
    for ending in ("xdf", "edf", "vhdr", "txt"):
        yield f"pipe as {ending}", ["play", str(fifo.with_suffix(f".{ending}"))]
    yield "pipe as session", ["rerun", str(fifo.with_suffix(".xdf"))]
    yield play("2^30 channels", "xdf", xdf(stream(2**30), 4))
    yield play("2^30 channels of text", "xdf", xdf(stream(2**30, "string"), 4))
    yield play("XDF header of 30 MB", "xdf", xdf(b"<info><name>" + b"a" * 30_000_000 + b"</name></info>"))
    yield play("many tags", "xdf", xdf(b"<info>" + b"<a/>" * 4_000_000 + b"</info>"))
    yield play("packed zeros", "xdfz", gzip.compress(b"XDF:" + bytes(100_000_000), 1))
    yield play("EDF of 10^6 signals", "edf", edf("1e6"))
    yield play("EDF of 9999 signals", "edf", edf("9999", header="2560000"))
    yield play("EDF record of 200 MB", "edf", edf(n_samples="99999999"))
    yield play("EDF at 10^300 Hz", "edf", edf(duration_s="1e-300"))
    yield play("EDF without a duration", "edf", edf(duration_s="nan"))
    yield play("BrainVision of 10^9 channels", "vhdr", brainvision(NumberOfChannels="1000000000"))
    yield play("BrainVision at 10^300 Hz", "vhdr", brainvision(SamplingInterval="1e-300"))
    yield play("digits in BrainVision", "vhdr", brainvision(NumberOfChannels="9" * 5000))
    yield play("NUL in BrainVision", "vhdr", brainvision(DataFile="a\0.eeg"))
    yield play("pipe behind BrainVision", "vhdr", brainvision(DataFile="pipe.eeg"))
    yield "huge BrainVision header", ["play", sparse(put("huge.vhdr", brainvision()))]
    yield "huge line of text", ["play", sparse(put("huge.txt", "%OpenBCI Raw EEG Data\n"))]
    placement = b"<info><name>neurofb-placement</name><type>Placement</type><channel_count>4</channel_count>"
    placement += (
        b"<channel_format>double64</channel_format><desc><layout>"
        + b"[" * 50_000
        + b"</layout></desc></info>"
    )
    session = folder / "session"
    session.mkdir()
    put("session/recording.xdf", xdf(placement))
    put("session/session.json", "[" * 200_000)
    yield "deep JSON in a session", ["rerun", str(session)]


def answer(ask: Callable[[list[str]], tuple[int, str]], arguments: list[str]) -> tuple[int, str]:
    """Return exit code and message of a command in a process of its own; −1 if it took too much."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        used_s = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used_s.ru_utime + used_s.ru_stime) + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        try:
            os.write(writing, json.dumps(ask(arguments)).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        content = told.read()
    os.waitpid(child, 0)
    code, text = json.loads(content) if content else (-1, "it took too much, or waits")
    return int(code), str(text)


def main() -> None:
    """Ask about all and print the answers."""
    import mne.io
    from click.testing import CliRunner

    from neurofb.cli import commands
    from neurofb.errors import NeurofbError

    def ask(arguments: list[str]) -> tuple[int, str]:
        error = CliRunner().invoke(commands, arguments, standalone_mode=False).exception
        if error is None:
            return 0, "it was taken"
        if not isinstance(error, NeurofbError):
            return 1, repr(error)
        return error.exit_code, str(error)

    ask(["check", "demo", "--device", "simulated"])  # what every case needs is loaded once
    ask(["play", "none.xdf"])
    ask(["rerun", "none.xdf"])
    assert mne.io.read_raw
    answers = {name: answer(ask, arguments) for name, arguments in cases(Path(sys.argv[1]))}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
