"""The samples of a session under another protocol: the feedback it would have given, block by block.

The EEG answers what was delivered, so this is a statement about the rule, not about a session that never was: whoever
gets other feedback does other things. Phases and heat stay those of the session, and its baselines, which are enough
for the other protocol if they were enough for their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.loop.loop import Loop
from neurofb.loop.settings import LoopSettings
from neurofb.offline.rerun import Block, Computed, Progress, compute, earlier_fit, loop_of, settings_of
from neurofb.protocol.design import Protocol
from neurofb.recording.session_recording import SessionRecording

#: The level over time is kept as means of so many seconds.
MEAN_S = 5.0


@dataclass(frozen=True, slots=True)
class BlockFeedback:
    """The feedback of one block."""

    #: Samples with a reward.
    rewards: int
    #: Their share of usable samples; NaN without any.
    rewarded: float
    #: Share of samples for which feedback could be earned.
    usable: float
    #: Mean level.
    level: float
    #: The success index at the block's end; NaN without one.
    success: float
    #: Mean level of each 5 s; NaN where there was none.
    level_means: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BlockComparison:
    """A block as it was delivered, and as it would have been."""

    condition: str
    #: From the recording's first sample on.
    start_s: float
    duration_s: float
    delivered: BlockFeedback
    other: BlockFeedback
    #: Correlation of the two levels over time; NaN where one of them is constant.
    alike: float


def loop_for(recording: SessionRecording, protocol: Protocol) -> Loop:
    """Return a loop with the headset of the session, and features, feedback and baselines of another protocol.

    Raises
    ------
    WrongInput
        If that protocol cannot be used with this session: why.
    """
    if protocol.feedback is None:
        raise WrongInput(
            f"the protocol {protocol.study.id!r} has no [feedback] table, so nobody would have felt anything; give one "
            "that has"
        )
    if recording.is_sealed:
        raise WrongInput(
            f"{recording.folder} is blinded, and what another protocol would have given tells what was delivered; it "
            "can be asked when the study is locked and the session unlocked (neurofb unlock)"
        )
    recorded = loop_of(recording, own_values=True).settings
    settings = LoopSettings(
        protocol.features,
        recorded.montage,
        recorded.rate_hz,
        protocol.feedback,
        protocol.baseline.model_copy(
            update={"least_s": recorded.enough.least_s, "least_share": recorded.enough.least_share}
        ),
        protocol.reference,
        protocol.line_hz,
        recorded.rules,
        protocol.cleaning.blinks,
    )
    participant_fit, baselines = earlier_fit(settings_of(recording)["given"])
    return Loop(settings, participant_fit, baselines)


def what_if(
    recording: SessionRecording, protocol: Protocol, progress: Progress | None = None
) -> list[BlockComparison]:
    """Return each feedback block as it was delivered, and as another protocol would have it.

    Raises
    ------
    WrongInput
        If the other protocol's feedback cannot begin with the baselines of this session: what it lacks.
    """
    computed = compute(recording, loop_for(recording, protocol), progress)
    if computed.stopped:
        raise WrongInput(
            f"the protocol {protocol.study.id!r} cannot follow this session: {computed.stopped}. It needs baselines of "
            "its own features, which this session must have taken itself"
        )
    return [_compare(recording, computed, block) for block in computed.blocks]


def _compare(recording: SessionRecording, computed: Computed, block: Block) -> BlockComparison:
    rate_hz = computed.rate_hz
    n_means = max(1, round((block.end - block.first) / rate_hz / MEAN_S))
    delivered = block_feedback(recording.feedback, block, n_means)
    other = block_feedback(computed.feedback, block, n_means)
    return BlockComparison(
        block.condition,
        block.first / rate_hz,
        (block.end - block.first) / rate_hz,
        delivered,
        other,
        _correlation(delivered.level_means, other.level_means),
    )


def block_feedback(feedback: Mapping[str, FloatArray], block: Block, n_means: int) -> BlockFeedback:
    """Return the feedback of a block: rewards, level, and their means."""
    index = feedback["index"]
    there = (index >= block.first) & (index < block.end)
    level, reward, usable = (feedback[name][there] for name in ("level", "reward", "usable"))
    successes = feedback["success_index"][there]
    successes = successes[np.isfinite(successes)]
    place = (index[there] - block.first) * n_means / max(1, block.end - block.first)
    level_means = [level[place.astype(int) == i] for i in range(n_means)]
    n_usable = int(usable.sum())
    return BlockFeedback(
        int(reward.sum()),
        float(reward.sum()) / n_usable if n_usable else float("nan"),
        _mean(usable),
        _mean(level),
        float(successes[-1]) if len(successes) else float("nan"),
        tuple(_mean(each) for each in level_means),
    )


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    x, y = np.array(a), np.array(b)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
