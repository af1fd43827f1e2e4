"""What tests of the screens share: no window is shown, and a session that is only pretended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pylsl
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from stand_in import StandIn

BOUND_S = 30.0
WITHOUT_QT = "the screens need Qt: pip install 'neurofb[screens]'"


@pytest.fixture
def session() -> Iterator[StandIn]:
    """Give a session that sends what it is told to."""
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object], Callable[[], bool]], None]:
    """Give a loop that does something until something holds, and fails if it never does."""

    def run(step: Callable[[], object], holds: Callable[[], bool]) -> None:
        end_s = pylsl.local_clock() + BOUND_S
        while True:
            step()
            if holds():
                return
            assert pylsl.local_clock() < end_s, "never happened"

    return run
