"""Commands that wait for the session: none vanishes, and a stop is kept whatever another thread pops meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from neurofb.lsl.session_streams import MOST_WAITING, CommandInlet
from neurofb.messages import STOPS, Command
from neurofb.signing import CommandGate


@pytest.fixture(scope="module")
def inlet() -> Iterator[CommandInlet]:
    made = CommandInlet(CommandGate("abc", None))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_waits(inlet: CommandInlet) -> None:
    inlet._commands = deque()


def mark(number: int) -> str:
    return Command("mark", {"text": str(number)}, "operator", "abc").to_json()


def test_commands_that_cannot_wait_are_refused_and_counted(inlet: CommandInlet) -> None:
    taken = [inlet._take(mark(number)) for number in range(MOST_WAITING + 7)]
    assert taken == [True] * MOST_WAITING + [False] * 7
    (refused,) = inlet.pop_refused()
    assert refused.n == 7
    assert refused.asked == mark(MOST_WAITING)
    assert refused.reason.startswith(f"{MOST_WAITING} commands wait already")
    assert [each.content["text"] for each in inlet.pop(1000)] == [str(i) for i in range(MOST_WAITING)]


@pytest.mark.parametrize("name", STOPS)
def test_stop_is_taken_by_a_full_inlet_too_and_comes_first(inlet: CommandInlet, name: str) -> None:
    for number in range(MOST_WAITING):
        inlet._take(mark(number))
    assert inlet._take(Command(name, {}, "operator", "abc").to_json())
    assert inlet.pop(1)[0].name == name
    assert inlet.pop_refused() == []


class _PoppedMeanwhile(deque[Command]):
    """Commands whose last is popped by the session's thread while the other thread looks at it."""

    def __getitem__(self, at: int) -> Command:  # type: ignore[override]
        self.clear()
        return super().__getitem__(at)


@pytest.mark.parametrize("name", STOPS)
def test_stop_is_kept_while_the_session_pops_the_command_before_it(inlet: CommandInlet, name: str) -> None:
    inlet._commands = _PoppedMeanwhile()
    inlet._take(mark(1))
    assert inlet._take(Command(name, {}, "operator", "abc").to_json())
    assert [each.name for each in inlet.pop(10)] == [name]
