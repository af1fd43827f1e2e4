"""What a blinded session delivers: made of the protocol, the opened envelope and the frozen pool of donors.

In: protocol, envelope, pool, participant and session. Out: a `Delivery`, or a refusal that is the same in every arm.
Live and in a re-run it is made by the same function, so that the same envelope gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from neurofb.blinding.donors import DonorPool, Need, pool_problems
from neurofb.blinding.envelopes import Sealed
from neurofb.blinding.sham import Delivery, DonorTrack
from neurofb.errors import WrongInput
from neurofb.feedback.settings import FeedbackSettings
from neurofb.folding import folded
from neurofb.protocol.design import Protocol
from neurofb.protocol.timeline import Timeline, expand

#: What the training consists of; texts, arms and questions may differ between donors and recipients.
_TRAINING = {"features", "feedback", "baseline", "heat", "sessions", "reference", "line_hz"}


def training_sha256(protocol: Protocol) -> str:
    """Return the hash of all that donors and recipients must have in common.

    What a protocol leaves at its default is not in it, so that a key that a later version adds changes no hash.
    """
    content = protocol.model_dump(mode="json", include=_TRAINING, exclude_defaults=True)
    content["phases"] = [
        phase.model_dump(mode="json", exclude={"text", "ratings"}, exclude_defaults=True)
        for phase in protocol.phases
    ]
    if protocol.feedback is not None:
        content["feedback"] = protocol.feedback.model_dump(
            mode="json", include=set(FeedbackSettings.model_fields), exclude_defaults=True
        )
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def session_ids(protocol: Protocol) -> tuple[str, ...]:
    """Return the ids of a protocol's sessions; that of its only one where it lists none."""
    return tuple(visit.id for visit in protocol.sessions) or (protocol.session().id,)


def needs_of(protocol: Protocol) -> list[Need]:
    """Return what the sessions of a protocol ask of a donor, by phase and level."""
    arm = next((each.id for each in protocol.arms if each.feedback != "none"), None)
    found: dict[tuple[str, str, str], float] = {}
    for session in session_ids(protocol):
        for phase, level, duration_s in _pieces(expand(protocol, session=session, arm=arm)):
            key = (session, phase, level)
            found[key] = found.get(key, 0.0) + duration_s
    return [Need(*key, duration_s) for key, duration_s in found.items() if duration_s > 0]


def _pieces(timeline: Timeline) -> Iterator[tuple[str, str, float]]:
    """Return phase, level and duration of each piece of the blocks of a timeline."""
    for phase in timeline.phases:
        if phase.kind != "training" or phase.feedback is None:
            continue
        heats = [step for step in timeline.heats if step.phase == phase.index]
        marks = [(phase.onset_s, ""), *((step.onset_s, step.level or "") for step in heats)]
        ends = [*(at for at, _ in marks[1:]), phase.onset_s + phase.duration_s]
        for (at, level), end in zip(marks, ends, strict=True):
            yield phase.name, level, end - at


def block_number(timeline: Timeline, phase: int) -> int:
    """Return which block of its name a phase gives, from 0."""
    here = timeline.phases[phase]
    return sum(each.name == here.name and each.kind == "training" for each in timeline.phases[:phase])


def trial_number(timeline: Timeline, phase: int, level: str | None, trial: int | None) -> int:
    """Return which stimulus of its level a trial is in its phase, from 0."""
    return sum(
        step.phase == phase and step.level == level and (step.trial or 0) < (trial or 0)
        for step in timeline.heats
    )


def require_pool(protocol: Protocol, pool: DonorPool, sha256: str) -> None:
    """Refuse a pool that is not the allocated one, or cannot serve the study.

    ``sham:self`` has each participant's own earlier sessions, so its pool grows, and no hash is demanded of it.

    Raises
    ------
    WrongInput
        In the same words for every arm.
    """
    if _is_own(protocol):
        return
    if pool.sha256 != sha256:
        raise WrongInput(
            f"the pool of donors is not the one that the study was allocated with: its SHA-256 is {pool.sha256[:12]}…, "
            f"expected: {sha256[:12] or 'none'}…; take the file whose hash the study file names (donor_pool_sha256)"
        )
    if problems := list(pool_problems(pool, needs_of(protocol), training_sha256(protocol))):
        raise WrongInput("the pool of donors cannot serve this study: " + "; ".join(problems))


def _is_own(protocol: Protocol) -> bool:
    return any(arm.feedback == "sham:self" for arm in protocol.arms)


def delivery_of(
    protocol: Protocol, sealed: Sealed, pool: DonorPool, participant: str, session: str
) -> Delivery:
    """Return what decides which value is delivered.

    Parameters
    ----------
    protocol : Protocol
        With feedback.
    sealed : Sealed
        The content of the participant's envelope.
    pool : DonorPool
    participant, session : str
        Who is never their own donor, and which of the donor's sessions is followed.

    Raises
    ------
    WrongInput
        If the pool is not that of the envelope, or cannot serve the study; in the same words for every arm.
    """
    if protocol.feedback is None:
        raise WrongInput("the protocol has no table [feedback], so there is nothing to blind")
    require_pool(protocol, pool, sealed.donor_pool_sha256)
    feedback = protocol.arm(sealed.arm).feedback
    is_own = _is_own(protocol)
    ids = session_ids(protocol)
    before = ids[ids.index(session) - 1] if session in ids and ids.index(session) > 0 else None
    if is_own:
        own = tuple(donor for donor in pool.donors if folded(donor.code) == folded(participant))
        if before is None:
            feedback = "real"  # there is nothing earlier: everybody's first session is
        elif not own or before not in own[0].sessions:
            raise WrongInput(
                f"the pool lacks session {before!r} of this participant; build it from their data first"
            )
        track = DonorTrack(pool, own or pool.donors, before or session)
    else:
        fixed_z = protocol.feedback.threshold.z if protocol.feedback.threshold.rule == "fixed" else None
        track = DonorTrack(pool, pool.order(sealed.donor_seed, participant, fixed_z), session)
    return Delivery(protocol.feedback.feature, feedback, track, protocol.feedback.control_feature)
