"""The direction of the imports, the size of the rooms, and what a start may load (see CONTRIBUTING)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "neurofb"
FILES = sorted(SOURCE.rglob("*.py"))

#: Inwards, towards the words: a room may import those of its own line and of lines above it.
ORDER = [
    {
        "errors",
        "folding",
        "clock",
        "chunk",
        "events",
        "config",
        "limits",
        "messages",
        "status",
        "format",
        "signing",
        "pairing",
        "_kernels",
        "_devices",
    },
    {"devices", "lsl", "xdf", "stimulation"},
    {"acquisition", "simulation", "dsp", "spatial"},
    {"features"},
    {"feedback"},
    {"blinding"},
    {"loop"},
    {"protocol", "protocols"},
    {"recording"},
    {"engine", "offline"},
    {"views"},
    {"screens"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
#: Rooms of the same line, or of a line above, that must not meet all the same.
STRANGERS = [("stimulation", {"devices", "lsl", "xdf"}), ("xdf", {"devices", "lsl", "stimulation"})]
#: Foreign packages and the only places that may import them.
HOMES = {
    "pylsl": {"lsl/"},
    "mne": {"offline/", "acquisition/readers/mne_recording.py", "spatial/"},
    "mne_bids": {"offline/"},
    "PySide6": {"screens/"},
    "pyqtgraph": {"screens/"},
    "sounddevice": {"screens/"},
    "serial": {"stimulation/drivers/"},
    "spake2": {"pairing.py"},
    "cryptography": {"pairing.py"},
    "pyrage": {"blinding/"},
    "rich": {"commands/"},
    "platformdirs": {"recording/"},
    "click": {"cli.py", "commands/"},
    "pyxdf": set(),
    "brainflow": set(),
    "mne_connectivity": set(),
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += (
                [f"{node.module}.{name.name}" for name in node.names]
                if node.module == "neurofb"
                else [node.module]
            )
    return found


def rank(name: str) -> int:
    return next((i for i, rooms in enumerate(ORDER) if name in rooms), -1)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_imports_point_inwards(path):
    relative = path.relative_to(SOURCE)
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert rank(own) >= 0, f"{own} has no place in the house: give it one in ORDER"
    for module in imports(path):
        if module.startswith("neurofb.") and room(module) not in ("__version__", own):
            assert 0 <= rank(room(module)) <= rank(own), (
                f"{relative} imports {module}, which lies further out"
            )


@pytest.mark.parametrize("room_name, others", STRANGERS)
def test_rooms_that_must_not_meet_do_not(room_name, others):
    for path in (SOURCE / room_name).rglob("*.py"):
        for module in imports(path):
            assert not (module.startswith("neurofb.") and room(module) in others), (
                f"{path.name} imports {module}"
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_foreign_packages_stay_at_home(path):
    relative = path.relative_to(SOURCE).as_posix()
    for module in imports(path):
        homes = HOMES.get(module.split(".")[0])
        if homes is not None:
            assert any(relative.startswith(home) for home in homes), f"{relative} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_no_stage_reads_a_wall_clock(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            words = ast.unparse(node)
            assert words not in ("datetime.now", "datetime.datetime.now"), (
                f"{path.name}:{node.lineno} {words}"
            )


def test_long_files_are_listed(capsys):
    """A size is a question: two files that are read together are one file."""
    sizes = {path: path.read_text("utf-8").count("\n") for path in FILES}
    with capsys.disabled():
        for path, n_lines in sizes.items():
            if n_lines > 400:
                print(f"\nlook again: {path.relative_to(SOURCE).as_posix()} has {n_lines} lines", end="")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_functions_are_small(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            documented = node.body[0].end_lineno - node.lineno if ast.get_docstring(node) else 0
            assert node.end_lineno - node.lineno - documented <= 60, f"{path.name}:{node.lineno} {node.name}"


HELP = "from click.testing import CliRunner; from neurofb.cli import commands, NAMES"


@pytest.mark.parametrize(
    "start",
    [
        "import neurofb",
        f"{HELP}; assert CliRunner().invoke(commands, ['--help']).exit_code == 0",
        f"{HELP}; assert all(CliRunner().invoke(commands, [n, '--help']).exit_code == 0 for n in NAMES)",
    ],
    ids=["import", "help", "help of each command"],
)
def test_start_loads_nothing_heavy(start):
    heavy = ("mne", "scipy", "PySide6", "pyqtgraph", "pydantic", "pylsl", "numpy", "matplotlib", "rich")
    code = f"{start}\nimport sys\nprint([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_processing_allocates_nothing_that_stays():
    """Twenty thousand samples one by one: no memory is held that was not held after the first two thousand."""
    import tracemalloc

    import numpy as np

    from neurofb.dsp.bands import BandFilter
    from neurofb.dsp.power import BandPower
    from neurofb.dsp.synchrony import Synchrony

    bands = BandFilter({"alpha": (8, 12)}, 250, 2, 0.1)
    power, synchrony = BandPower(1, 2, 250, time_constant_s=0.25), Synchrony.of(bands, window_s=2)
    x = np.random.default_rng(0).standard_normal((1000, 2))

    def run(n):
        for i in range(n):
            z = bands.process(x[i % 1000 : i % 1000 + 1])
            power.process(z)
            synchrony.process(z)
            if i % 50 == 0:
                synchrony.debiased_wpli2()

    def held() -> int:
        """Return the bytes that lines of the package hold; what other threads of the worker hold is not its own."""
        own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"{SOURCE}/*")])
        return sum(trace.size for trace in own.traces)

    run(1000)
    tracemalloc.start()
    run(1000)
    before = held()
    run(20_000)
    after = held()
    tracemalloc.stop()
    assert after - before < 2000
