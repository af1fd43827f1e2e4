"""What tests share: real recordings where they are, a pretended session, and a look that the kernels are not stale.

Everything else that several tests need stands in ``tests/parts``.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stand_in import StandIn

ROOT = Path(__file__).resolve().parent.parent
#: The longest that a test waits for another process.
BOUND_S = 30.0

# Streams of the tests meet on this machine only, and only with those of the same run: pylsl reads this once,
# when it is first imported. KnownPeers, because a loopback has no multicast; ports of this run's own, because peers
# are asked on a range of ports, which outlets of other runs may have filled.
_LSL_FOLDER = tempfile.TemporaryDirectory(prefix="neurofb-lsl-")
_LSL_SETTINGS = Path(_LSL_FOLDER.name) / "lsl_api.cfg"
_LSL_SETTINGS.write_text(
    f"[ports]\nIPv6 = disable\nBasePort = {16600 + os.getpid() % 150 * 100}\nPortRange = 90\n"
    "[multicast]\nResolveScope = machine\n"
    f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = neurofb-tests-{uuid.uuid4().hex}\n[log]\nlevel = -2\n",
    "utf-8",
)
os.environ["LSLAPICFG"] = str(_LSL_SETTINGS)
# Nothing that a test runs may write to the user's own account of the skin, not even a fixture before the first test.
os.environ["NEUROFB_SKIN_ACCOUNT"] = f"{_LSL_FOLDER.name}/skin-account.jsonl"
os.environ["NEUROFB_THERMODE_BENCH"] = f"{_LSL_FOLDER.name}/thermode-bench.jsonl"


def pytest_sessionstart() -> None:
    """Stop with the command to run if the kernels are older than their source."""
    from neurofb import _kernels

    wanted = bool(os.environ.get("NEUROFB_CHECKED"))
    built, source = Path(_kernels.__file__), ROOT / "src/neurofb/_kernels.pyx"
    rebuild = "python setup.py build_ext --inplace"
    if wanted != _kernels.CHECKED:
        pytest.exit(
            f"these kernels are {'' if _kernels.CHECKED else 'not '}checked; run: make test-checked", 2
        )
    if source.stat().st_mtime > built.stat().st_mtime:
        pytest.exit(
            f"{built.name} is older than _kernels.pyx: the tests would test the past. Run: {rebuild}", 2
        )


@pytest.fixture(autouse=True)
def own_skin_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide each test with an account of the skin of its own: never the user's."""
    monkeypatch.setenv("NEUROFB_SKIN_ACCOUNT", f"{_LSL_FOLDER.name}/{uuid.uuid4().hex}/skin-account.jsonl")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of real recordings, which lies beside the repository; they are no part of it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not there: no folder {folder}")
    return folder


@pytest.fixture
def session() -> Iterator[StandIn]:
    """Give a session that sends what it is told to."""
    from stand_in import StandIn

    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object], Callable[[], bool]], None]:
    """Give a loop that does something until something holds, and fails if it never does."""
    import pylsl

    def run(step: Callable[[], object], holds: Callable[[], bool]) -> None:
        end_s = pylsl.local_clock() + BOUND_S
        while True:
            step()
            if holds():
                return
            assert pylsl.local_clock() < end_s, "never happened"

    return run
