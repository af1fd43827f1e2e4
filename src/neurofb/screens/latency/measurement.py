"""The measurement of the screen's or the sound's delay: marks are presented while a channel records them.

In: what is to be measured, a clock, something that presents marks. Out: the document of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.errors import StreamLost, StreamMissing, UnknownName, WrongInput, WrongStream, nearest
from neurofb.lsl.matching import StreamInfo, StreamQuery, choose
from neurofb.screens.latency.analysis import LONGEST_S, evened, find_delays
from neurofb.screens.latency.marks import FEWEST_MARKS, Clicks, Pattern
from neurofb.screens.sound.soundscape import FOLLOW_S, RATE_HZ
from neurofb.screens.sound.synthesis import BLOCK

if TYPE_CHECKING:
    from neurofb.screens.sound.player import Player

OPEN_TIMEOUT_S, CORRECTION_TIMEOUT_S = 3.0, 3.0
#: How long the recording goes on after the last mark's longest delay, and how long it may be late.
AFTER_S, LATE_S = 0.7, 10.0
SOUNDSCAPE_ADDS_MS = round(1e3 * (2 * FOLLOW_S + 0.5 * BLOCK / RATE_HZ), 1)

Present = Callable[[Pattern, Clock], FloatArray]


@dataclass(frozen=True, slots=True)
class DelayTest:
    """The settings of a test: marks of ``kind``, recorded by a channel of a stream."""

    kind: Literal["screen", "sound"] = "screen"
    stream: str = ""
    channel: str | None = None
    session_folder: Path | None = None
    marks: int = 60
    seed: int = 0
    device: str | None = None
    corner: str = "lower left"
    wait_s: float = 5.0


class RecordedChannel:
    """One channel of a stream from now on, with its stamps on this computer's LSL clock.

    ``channel`` is a label or a number from 1; None where the stream has one only.
    """

    def __init__(self, name: str, channel: str | None, wait_s: float) -> None:
        from neurofb.lsl.inlet import NumericInlet, find_streams

        query = StreamQuery(name=name)
        found = find_streams(query, wait_s)
        self.facts = choose([facts for facts, _ in found], query, wait_s)
        if self.facts.value_format == "string":
            raise WrongStream(f"the stream {self.facts.describe()} carries text; needed is one with numbers")
        self.column, self.label = column_of(self.facts, channel)
        (info,) = [info for facts, info in found if facts is self.facts]
        self._inlet = NumericInlet(self.facts, info)
        self._lsl(lambda: self._inlet.open(OPEN_TIMEOUT_S))
        self._correction_s = self._lsl(lambda: self._inlet.correction_s(CORRECTION_TIMEOUT_S))

    def read_until(self, time_s: float, clock: Clock) -> tuple[FloatArray, FloatArray]:
        """Return all samples since it was opened, up to a time on LSL's clock, and their stamps.

        Raises
        ------
        StreamLost
            If it does not come so far.
        """
        pieces, stamps = [np.zeros(0)], [np.zeros(0)]
        while not len(stamps[-1]) or stamps[-1][-1] < time_s:
            n = self._lsl(lambda: self._inlet.pull(0.2))
            if n:
                pieces.append(self._inlet.values[:n, self.column].astype(np.float64))
                stamps.append(self._inlet.stamps_s[:n] + self._correction_s)
            elif clock.now_s() > time_s + LATE_S:
                break
        self._inlet.close()
        return np.concatenate(pieces), evened(np.concatenate(stamps), self.facts.rate_hz)

    def _lsl(self, act: Callable[[], Any]) -> Any:
        """Call a function; the errors that pylsl raises when the sender is gone become ours."""
        try:
            return act()
        except (RuntimeError, TimeoutError, OSError) as error:
            raise StreamLost(f"the stream {self.facts.name!r} does not answer any more ({error})") from error


def column_of(facts: StreamInfo, channel: str | None) -> tuple[int, str]:
    """Return the column and the label of a channel."""
    names = facts.labels or tuple(str(i + 1) for i in range(facts.n_channels))
    if channel is None:
        if facts.n_channels > 1:
            raise WrongInput(
                f"the stream {facts.name!r} has {facts.n_channels} channels; say which with --channel: "
                f"{', '.join(names)}"
            )
        return 0, names[0]
    if channel in names:
        return names.index(channel), channel
    if channel.isdigit() and 1 <= int(channel) <= facts.n_channels:
        return int(channel) - 1, names[int(channel) - 1]
    raise UnknownName(f"the stream {facts.name!r} has no channel {channel!r}; {nearest(channel, names)}")


def click_through(player: Player, clicks: Clicks, pattern: Pattern, clock: Clock) -> FloatArray:
    """Play a pattern as clicks; return when each was ordered, on the clock."""
    player.start()
    start_s = clock.now_s() + 0.5
    marks_s = []
    try:
        for due_s in start_s + pattern.offsets_s:
            while clock.now_s() < due_s:
                clock.wait_until(min(due_s, clock.now_s() + 0.1))
                player.step()
            marks_s.append(clock.now_s())
            clicks.ring()
            player.step()
        end_s = clock.now_s() + 1.0
        while clock.now_s() < end_s:
            clock.wait_until(min(end_s, clock.now_s() + 0.1))
            player.step()
    finally:
        player.stop()
    return np.array(marks_s)


def presenter(test: DelayTest) -> Present:
    """Return the function that presents the marks; errors come now, before anything is recorded."""
    if test.kind == "screen":
        try:
            from neurofb.screens.latency.photodiode_patch import show
        except ImportError as error:
            raise StreamMissing(
                f"the patch needs Qt ({error}); pip install 'neurofb[screens]', and on Debian and Ubuntu: "
                "apt install libegl1 libxkbcommon0 libxcb-cursor0"
            ) from error
        return lambda pattern, clock: show(pattern, clock, test.corner)
    return lambda pattern, clock: _clicks(test, pattern, clock)


def _clicks(test: DelayTest, pattern: Pattern, clock: Clock) -> FloatArray:
    from neurofb.screens.sound.player import SilentDevice, device_of, open_player

    clicks, said = Clicks(), list[str]()
    player = open_player(clicks, clock, device=device_of(test.device), echo=said.append)
    if isinstance(player, SilentDevice):
        raise StreamMissing(f"the delay of sound cannot be measured without sound. {' '.join(said)}")
    return click_through(player, clicks, pattern, clock)


def measure(test: DelayTest, clock: Clock, present: Present) -> dict[str, Any]:
    """Record, present and find the marks; return the document of the result."""
    if not test.stream:
        raise WrongInput("say which stream records the marks, as --stream NAME; `neurofb streams` lists them")
    if test.session_folder is not None and not test.session_folder.is_dir():
        raise WrongInput(f"no session folder {test.session_folder}; the result could not be stored there")
    pattern = Pattern.make(test.seed, test.marks)
    recorded = RecordedChannel(test.stream, test.channel, test.wait_s)
    marks_s = present(pattern, clock)
    if len(marks_s) < FEWEST_MARKS:
        raise WrongInput(
            f"the test was ended after {len(marks_s)} marks; {FEWEST_MARKS} are the least to say anything"
        )
    samples, stamps_s = recorded.read_until(float(marks_s[-1]) + LONGEST_S + AFTER_S, clock)
    delays = find_delays(samples, stamps_s, marks_s, test.kind)
    about = {
        "what": "delay from ordering a mark to its being seen or heard, of screen or sound alone",
        "stream": recorded.facts.name,
        "channel": recorded.label,
        "hostname": recorded.facts.hostname,
        "seed": test.seed,
        # A level that steps is heard so much later on average, because the gains glide (see ``screens.soundscape``).
        **({"soundscape_adds_ms": SOUNDSCAPE_ADDS_MS} if test.kind == "sound" else {}),
    }
    return delays.document(about)
