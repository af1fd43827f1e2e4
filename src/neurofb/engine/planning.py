"""What was asked of a session, checked whole: nothing is started or written before all of it is right.

In: words of the command line. Out: a frozen `SessionPlan`. Every problem is said at once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofb.devices import DeviceProfile, load_profile
from neurofb.engine.earlier_dose import used_before
from neurofb.errors import NeurofbError, WrongInput
from neurofb.feedback.baseline import Baseline
from neurofb.loop.participant_fit import ParticipantFit
from neurofb.protocol.checks.check import Circumstances, Report, examine
from neurofb.protocol.checks.heat_check import heat_problems_from
from neurofb.protocol.design import Protocol, load_protocol
from neurofb.protocol.known import FILE as BASELINE
from neurofb.protocol.known import Known, read_baseline
from neurofb.protocol.study import pseudonym_problem
from neurofb.protocol.timeline import Timeline, expand
from neurofb.recording.provenance import text_hash
from neurofb.simulation.faults import parse_faults
from neurofb.stimulation.calibration import load_calibration
from neurofb.stimulation.client import check_kind
from neurofb.stimulation.drivers.simulated import parse_heat_faults


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks.

    Attributes
    ----------
    protocol, device, participant : str
    session, arm : str or None
        The protocol's session and arm; None where there is only one.
    stream : str or None
        The EEG stream's name, or a predicate with "=".
    data : Path
        The dataset.
    seed : int
        Of every random choice.
    simulate : bool
        A simulated participant in a simulated headset instead of a stream.
    answers : bool
        Whether that one answers and presses; without, somebody at a screen does.
    baseline : Path or None
        The folder of an earlier session of this participant.
    thermode : str
        Which stimulator.
    thermode_faults, headset_faults : tuple of str
        What goes wrong with simulated devices.
    date : str
        The wall clock's date and time, for the record.
    allocation : Path or None
        Where to note which arm it was: outside the dataset, in which the arm is nowhere.
    """

    protocol: str
    device: str
    participant: str
    session: str | None = None
    arm: str | None = None
    stream: str | None = None
    data: Path = Path("neurofb-data")
    seed: int = 0
    simulate: bool = False
    answers: bool = True
    baseline: Path | None = None
    thermode: str = "simulated"
    thermode_faults: tuple[str, ...] = ()
    headset_faults: tuple[str, ...] = ()
    date: str = ""
    allocation: Path | None = None


@dataclass(frozen=True, eq=False)
class SessionPlan:
    """A session that may start.

    Attributes
    ----------
    asked : Asked
    protocol : Protocol
    profile : DeviceProfile
    timeline : Timeline
    temperatures : mapping of str to float
        Calibrated ones, by level.
    fitted, baselines
        What an earlier session knows of this participant; None and none without one.
    warnings : tuple of str
    used : mapping of str to float
        What each place on the skin has had in earlier runs of this session.
    """

    asked: Asked
    protocol: Protocol
    profile: DeviceProfile
    timeline: Timeline
    temperatures: Mapping[str, float] = field(default_factory=dict)
    fitted: ParticipantFit | None = None
    baselines: tuple[Baseline, ...] = ()
    warnings: tuple[str, ...] = ()
    used: Mapping[str, float] = field(default_factory=dict)

    @property
    def visit(self) -> str:
        """The session's label."""
        return self.timeline.session

    @property
    def task(self) -> str:
        """The protocol's id as a BIDS label."""
        return "".join(
            part.capitalize() if i else part for i, part in enumerate(self.protocol.study.id.split("-"))
        )

    def again(self, found: Mapping[float, float]) -> Timeline:
        """Return the timeline with calibrated temperatures, found for levels of pain."""
        levels = {} if self.protocol.heat is None else self.protocol.heat.levels
        celsius = {
            name: found[level.pain]
            for name, level in levels.items()
            if level.pain is not None and level.pain in found
        }
        return expand(
            self.protocol,
            session=self.visit,
            arm=self.timeline.arm,
            seed=self.asked.seed,
            temperatures={**self.temperatures, **celsius},
        )

    def heat_ahead(self, timeline: Timeline, n_taken: int, used: Mapping[str, float]) -> list[str]:
        """Return what forbids the heat of a timeline after ``n_taken`` steps."""
        return heat_problems_from(self.protocol, timeline, n_taken, used)

    def stable_uid(self) -> str:
        """Return a uid that is the same for the same plan: for simulations that are to be the same."""
        words = f"{text_hash(self.protocol.text)} {self.asked.seed} {self.asked.participant} {self.visit}"
        return uuid.uuid5(uuid.NAMESPACE_OID, words).hex[:12]


def plan_session(asked: Asked) -> SessionPlan:
    """Check all that was asked.

    Raises
    ------
    NeurofbError
        With everything that is wrong: the protocol, the headset, the participant's code, the earlier session.
    """
    found: list[NeurofbError] = []

    def tried(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except NeurofbError as error:
            found.append(error)
            return None

    tried(lambda: check_kind(asked.thermode))
    tried(lambda: parse_heat_faults(asked.thermode_faults))
    tried(lambda: parse_faults(asked.headset_faults))
    if asked.allocation is not None and asked.allocation.resolve().is_relative_to(asked.data.resolve()):
        where = f"{asked.allocation} lies inside the dataset {asked.data}"
        found.append(
            WrongInput(f"the list of allocations {where}, where all could read it; keep it elsewhere")
        )
    profile: DeviceProfile | None = tried(lambda: load_profile(asked.device))
    fitted: ParticipantFit | None = None
    known: Known | None = None
    if asked.baseline is not None:
        path = asked.baseline
        known = tried(lambda: read_baseline(path))
        fitted = None if known is None else tried(lambda: read_fitted(path))
    visit, temperatures = _visit(asked, found)
    used: dict[str, float] = {}
    if visit is not None and not pseudonym_problem(asked.participant):
        label = visit
        used = tried(lambda: used_before(asked.data, asked.participant, label)) or {}
    given = Circumstances(
        device=profile,
        session=asked.session,
        arm=asked.arm,
        seed=asked.seed,
        participant=asked.participant,
        known=known,
        temperatures=temperatures,
        used=used,
    )
    report: Report | None = tried(lambda: examine(asked.protocol, given))
    if report is not None and report.problems:
        found.append(WrongInput(report.refusal))
    if report is None:
        found += [WrongInput(text) for text in [pseudonym_problem(asked.participant)] if text]
    if not found and report is not None and report.protocol is not None:
        tried(lambda: report.protocol.arm(asked.arm) if report.protocol else None)
    if found or profile is None or report is None or report.protocol is None or report.timeline is None:
        raise _refusal(found)
    return SessionPlan(
        asked,
        report.protocol,
        profile,
        report.timeline,
        temperatures,
        fitted,
        known.baselines if known else (),
        report.warnings,
        used,
    )


def _refusal(found: list[NeurofbError]) -> NeurofbError:
    """Return one error for all; its exit code is that of the only one, or 2."""
    if len(found) == 1:
        return found[0]
    lines = [f"  {line}" for error in found for line in str(error).splitlines()]
    return WrongInput("\n".join([f"this session cannot start, {len(found)} things are wrong:", *lines]))


def _visit(asked: Asked, found: list[NeurofbError]) -> tuple[str | None, dict[str, float]]:
    """Return the session's label and stored temperatures, if the protocol can be read; else it is told elsewhere."""
    try:
        protocol = load_protocol(asked.protocol)
        visit = protocol.session(asked.session).id
    except NeurofbError:
        return None, {}
    try:
        return visit, stored_temperatures(protocol, asked)
    except NeurofbError as error:
        found.append(error)
        return visit, {}


def stored_temperatures(protocol: Protocol, asked: Asked) -> dict[str, float]:
    """Return the temperatures that an earlier visit found for this participant, by level at a site.

    Only a session that says so takes them (``temperatures_of``); a missing calibration is an error then.
    """
    heat, visit = protocol.heat, protocol.session(asked.session)
    if heat is None or visit.temperatures_of is None:
        return {}
    temperatures = {}
    for site in heat.sites:
        stored = load_calibration(asked.data, asked.participant, site)
        if stored is None:
            continue
        for name in heat.calibrated:
            pain = heat.levels[name].pain
            if pain in stored.temperatures:
                temperatures[f"{name}@{site}"] = stored.temperatures[pain]
                temperatures.setdefault(name, stored.temperatures[pain])
    if heat.calibrated and not temperatures:
        raise WrongInput(
            f"session {visit.id!r} uses the temperatures of session {visit.temperatures_of!r}, and none are stored for "
            f"{asked.participant!r} in {asked.data}; run that session first, or give its dataset with --data"
        )
    return temperatures


def read_fitted(path: Path) -> ParticipantFit:
    """Return the limits and the spectrum that the session in a folder measured."""
    file = path / BASELINE if path.is_dir() else path
    try:
        return ParticipantFit.from_dict(json.loads(file.read_text("utf-8")))
    except WrongInput as error:
        raise WrongInput(f"{file}: {error}") from None
