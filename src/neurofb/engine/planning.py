"""Checks everything that was asked of a session before anything is started or written.

In: words of the command line. Out: a frozen `SessionPlan`, or one error with every problem.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from neurofb.blinding.donors import DonorPool, read_pool
from neurofb.blinding.sham import Delivery
from neurofb.devices import DeviceProfile, load_profile
from neurofb.engine.blinded_session import BlindedSession, hidden
from neurofb.engine.earlier_dose import (
    RECOVERS_S,
    date_of,
    doses_by_account,
    run_folders,
    used_before,
    used_in,
)
from neurofb.engine.sealed_arm import OpenedEnvelope, SealedArm, check_envelope
from neurofb.errors import NeurofbError, WrongInput
from neurofb.folding import folded, spelt_as
from neurofb.loop.participant_fit import ParticipantRecord, read_baseline
from neurofb.lsl.senders import Sender
from neurofb.protocol.checks.check import CheckReport, RunContext, check_protocol
from neurofb.protocol.checks.heat_check import heat_problems_from
from neurofb.protocol.delivery import require_pool
from neurofb.protocol.design import ParsedProtocol, Protocol, parse_protocol
from neurofb.protocol.study import pseudonym_problem
from neurofb.protocol.timeline import Timeline, expand
from neurofb.recording.provenance import text_hash
from neurofb.recording.skin_account import AccountEntry, account_path, entries_of, read_account
from neurofb.signing import read_key_file
from neurofb.simulation.faults import parse_faults
from neurofb.stimulation.calibrated_heat import load_calibration
from neurofb.stimulation.conditions import Required
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.drivers.simulated import parse_heat_faults
from neurofb.stimulation.registry import SIMULATED, find_thermode
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.thermode_file import ThermodeFile

T = TypeVar("T")
TRUSTS = (
    "--trust-network: every program on this network can rate, pause, resume and end this session, and say that it is "
    "the participant or the operator"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a session from the command line."""

    protocol: str
    device: str
    participant: str
    #: None where the protocol has only one.
    session: str | None = None
    arm: str | None = None
    #: The name of the EEG stream, exactly.
    stream: str | None = None
    #: The same with * for any text; and a condition of XPath 1.0.
    stream_like: str | None = None
    where: str | None = None
    #: The program that sends it, where the stream does not tell; and the unit, where it is wrong or silent.
    program: str | None = None
    unit: str | None = None
    data: Path = Path("neurofb-data")
    seed: int = 0
    #: A simulated participant in a simulated headset instead of a stream.
    simulate: bool = False
    #: Whether the simulated participant answers and presses; otherwise somebody at a screen does.
    answers: bool = True
    #: The folder of an earlier session of this participant.
    baseline: Path | None = None
    #: The stimulator: "simulated", the name of a bundled thermode, or the path of a file.
    thermode: str = "simulated"
    #: Whether a simulated stimulator may run with nobody who watches; None: with a simulated participant only.
    unattended: bool | None = None
    #: Faults of simulated devices.
    thermode_faults: tuple[str, ...] = ()
    headset_faults: tuple[str, ...] = ()
    #: Date and time of the wall clock, for the record.
    date: str = ""
    #: The file to note the arm in, outside the dataset, in which the arm is nowhere.
    allocation: Path | None = None
    #: The folder of envelopes with the arm, the participant's levels ("site=A"), and the file with the engine's key.
    envelope: Path | None = None
    stratum: tuple[str, ...] = ()
    engine_key: Path | None = None
    #: The frozen pool of donors of a study with a sham.
    donors: Path | None = None
    #: Whether commands from the network need no signature; screens of other programs may be in use then.
    trust_network: bool = False
    #: The file with a secret that a screen on another computer has too.
    key_file: Path | None = None
    #: The file with the account of the skin; None: the user's own.
    skin_account: Path | None = None
    #: What was confirmed beforehand (``participant_questions``).
    again: bool = False
    same_person: bool = False
    code_is_no_name: bool = False
    probe_is_off: bool = False
    enrol: bool = False


@dataclass(frozen=True, eq=False)
class SessionPlan:
    """A session that may start."""

    asked: Asked
    protocol: Protocol
    profile: DeviceProfile
    timeline: Timeline = field(repr=False)  # what an arm gets differs in it
    #: Calibrated temperatures by level, in °C.
    temperatures: Mapping[str, float] = field(default_factory=dict)
    #: Measurements of this participant from an earlier session.
    earlier: ParticipantRecord | None = None
    warnings: tuple[str, ...] = ()
    #: The dose of each site in earlier runs of this session, and in all sessions of the last day.
    used: Mapping[str, float] = field(default_factory=dict)
    #: The account of the skin; None for a simulated session, which has none.
    account: Path | None = None
    #: The thermode's description; None for the simulated one.
    thermode: ThermodeFile | None = None
    #: Who sends the EEG, once it is found.
    sender: Sender | None = None
    #: The opened envelope of a blinded session, and what decides which value is delivered.
    blinded: BlindedSession | None = None
    delivery: Delivery | None = None
    #: The envelope with the arm, and the same when it is open: from then on the timeline is that of its arm.
    sealed_arm: SealedArm | None = None
    opened: OpenedEnvelope | None = None
    #: Of a study with a sham, in every arm.
    pool: DonorPool | None = field(default=None, repr=False)

    def open_envelope(self) -> SessionPlan:
        """Return the plan with the arm of its envelope, whose slot is the participant's from now on."""
        if self.sealed_arm is None:
            return self
        opened = self.sealed_arm.open(self.protocol)
        timeline = expand(
            self.protocol,
            session=self.visit,
            arm=opened.sealed.arm,
            seed=self.asked.seed,
            temperatures=self.temperatures,
        )
        plan = replace(self, opened=opened, timeline=timeline)
        if self.pool is None:
            return plan
        blinded = BlindedSession(opened.closed, opened.sealed, self.pool, self.sealed_arm.public_keys())
        delivery = blinded.delivery(self.protocol, self.asked.participant, self.visit)
        return replace(plan, blinded=blinded, delivery=delivery, timeline=hidden(timeline))

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

    @property
    def unattended(self) -> str:
        """Why nobody need watch the heat of this session, as the option that says so; "" where somebody must."""
        asked = self.asked
        if asked.thermode not in SIMULATED or asked.unattended is False:
            return ""
        if asked.unattended:
            return "--unattended-simulation"
        return "--simulate" if asked.simulate else ""

    @property
    def required(self) -> Required:
        """The conditions of heat in this session."""
        return Required(eeg=self.protocol.needs.eeg, view=not self.unattended)

    def again(self, found: Mapping[float, float]) -> Timeline:
        """Return the timeline with calibrated temperatures, found for levels of pain."""
        levels = {} if self.protocol.heat is None else self.protocol.heat.levels
        celsius = {
            name: found[level.pain]
            for name, level in levels.items()
            if level.pain is not None and level.pain in found
        }
        timeline = expand(
            self.protocol,
            session=self.visit,
            arm=self.timeline.arm if self.blinded is None else self.blinded.arm,
            seed=self.asked.seed,
            temperatures={**self.temperatures, **celsius},
        )
        return timeline if self.blinded is None else hidden(timeline)

    def heat_ahead(self, timeline: Timeline, n_taken: int, used: Mapping[str, float]) -> list[str]:
        """Return the reasons that forbid the heat of a timeline after ``n_taken`` steps."""
        return heat_problems_from(self.protocol, timeline, n_taken, used, capabilities_of(self.thermode))

    def stable_uid(self) -> str:
        """Return a uid that is the same for the same plan: for simulations that are to be the same."""
        words = f"{text_hash(self.protocol.text)} {self.asked.seed} {self.asked.participant} {self.visit}"
        return uuid.uuid5(uuid.NAMESPACE_OID, words).hex[:12]


class _Problems(list[NeurofbError]):
    """Everything that is wrong, collected so that it can be said at once."""

    def collect(self, action: Callable[..., T], *given: Any) -> T | None:
        """Return what an action returns; None if it found a problem."""
        try:
            return action(*given)
        except NeurofbError as error:
            self.append(error)
            return None


def capabilities_of(thermode: ThermodeFile | None) -> Capabilities | None:
    """Return what a thermode can do by its file; None for the simulated one, which follows everything."""
    return None if thermode is None else thermode.capabilities()


def plan_session(asked: Asked, blinded: BlindedSession | None = None) -> SessionPlan:
    """Check all that was asked; of a blinded session, whatever its arm is, for all arms.

    Raises
    ------
    NeurofbError
        With everything that is wrong: the protocol, the headset, the participant's code, the earlier session.
    """
    problems = _Problems()
    account = None if asked.simulate else account_path(asked.skin_account)
    entries = [] if account is None else problems.collect(read_account, account) or []
    thermode = _check_options(asked, problems)
    _check_spelling(asked, entries, problems)
    profile = problems.collect(load_profile, asked.device)
    if profile is not None and asked.program is not None:
        problems.collect(profile.program, asked.program)
    earlier = None if asked.baseline is None else problems.collect(read_baseline, asked.baseline)
    parsed = problems.collect(parse_protocol, asked.protocol)
    temperatures, used = _stored(asked, parsed, entries, problems)
    report = None
    if parsed is not None:
        given = RunContext(
            profile,
            asked.session,
            asked.arm,
            asked.seed,
            asked.participant,
            earlier,
            temperatures,
            used,
            thermode=capabilities_of(thermode),
        )
        report = problems.collect(check_protocol, parsed, given)
    _check_report(asked, report, problems)
    sealed_arm, pool, delivery = None, None, None
    if report is not None and report.protocol is not None and not problems:
        protocol = report.protocol
        if blinded is not None:
            session = protocol.session(asked.session).id
            delivery = problems.collect(blinded.delivery, protocol, asked.participant, session)
        else:
            sealed_arm = problems.collect(_sealed_arm, asked, protocol)
            pool = None if sealed_arm is None else problems.collect(_pool, asked, protocol, sealed_arm)
    if problems or profile is None or report is None or report.protocol is None or report.timeline is None:
        raise _refusal(problems)
    warnings = (*([TRUSTS] if asked.trust_network else []), *report.warnings)
    plan = SessionPlan(
        asked,
        report.protocol,
        profile,
        report.timeline,
        temperatures,
        earlier,
        warnings,
        used,
        account,
        thermode,
        blinded=blinded,
        delivery=delivery,
        sealed_arm=sealed_arm,
        pool=pool,
    )
    return plan if blinded is None else replace(plan, timeline=plan.again({}))


def _check_options(asked: Asked, problems: _Problems) -> ThermodeFile | None:
    """Check the words that need neither protocol nor headset; return the thermode's description."""
    thermode = problems.collect(find_thermode, asked.thermode)
    problems.collect(parse_heat_faults, asked.thermode_faults)
    problems.collect(parse_faults, asked.headset_faults)
    if asked.key_file is not None:
        problems.collect(lambda path: read_key_file(path, create=True), asked.key_file)
    if asked.unattended and asked.thermode not in SIMULATED:
        problems.append(
            WrongInput(
                f"--unattended-simulation is for simulated stimulators ({', '.join(SIMULATED)}); {asked.thermode!r} "
                "heats a person, and somebody must watch: leave it out"
            )
        )
    if asked.allocation is not None and asked.allocation.resolve().is_relative_to(asked.data.resolve()):
        where = f"{asked.allocation} lies inside the dataset {asked.data}"
        problems.append(
            WrongInput(f"the list of allocations {where}, where all could read it; keep it elsewhere")
        )
    return thermode


def _stored(
    asked: Asked, parsed: ParsedProtocol | None, entries: Sequence[AccountEntry], problems: _Problems
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the temperatures and the used dose of earlier runs; none for a protocol or session with mistakes."""
    if parsed is None or parsed.protocol is None or parsed.problems:
        return {}, {}
    try:
        session = parsed.protocol.session(asked.session).id
    except NeurofbError:
        return {}, {}  # the check of the protocol says so
    temperatures = problems.collect(stored_temperatures, parsed.protocol, asked)
    used = None
    if not pseudonym_problem(asked.participant):
        used = problems.collect(_used, asked, session, entries)
    return temperatures or {}, used or {}


def _used(asked: Asked, session: str, entries: Sequence[AccountEntry]) -> dict[str, float]:
    """Return the doses that count: of earlier runs of this session, and of all sessions of the last day."""
    now_s = wall_time_s(asked.date)
    used = SiteLedger(used_before(asked.data, asked.participant, session, now_s))
    mine = entries_of(list(entries), asked.participant)
    for each in doses_by_account(mine, asked.data, session, now_s):
        used.add_shares({dose.site: dose.share for dose in each.doses})
    for path in _not_accounted(asked, session, mine, now_s):
        used.add_shares(used_in(path))
    return used.as_dict()


def _not_accounted(asked: Asked, session: str, mine: Sequence[AccountEntry], now_s: float) -> Iterator[Path]:
    """Return the runs of the dataset's other sessions in the last day that the account lacks.

    A dataset may be shared by computers, each with an account of its own. A run without its date counts.
    """
    noted = {entry.path for entry in mine}
    for run in () if asked.simulate else run_folders(asked.data.resolve()):
        is_other = folded(run.session) != folded(session) and run.path not in noted
        is_old = math.isfinite(now_s) and now_s - wall_time_s(date_of(run.path)) > RECOVERS_S
        if is_other and not is_old and folded(run.participant) == folded(asked.participant):
            yield run.path


def _check_spelling(asked: Asked, entries: Sequence[AccountEntry], problems: _Problems) -> None:
    """Refuse a code that is known by another spelling."""
    runs = [run.participant for run in run_folders(asked.data)]
    known = spelt_as(asked.participant, [*runs, *(entry.code for entry in entries)])
    if known is not None:
        problems.append(
            WrongInput(
                f"the participant code {asked.participant!r} is {known!r} spelt another way, and one person has one "
                f"account of the skin; right is --participant {known}, or a code that differs by more than case"
            )
        )


def _check_report(asked: Asked, report: CheckReport | None, problems: _Problems) -> None:
    """Add what the check of the protocol found."""
    if report is None:
        problems += [WrongInput(text) for text in [pseudonym_problem(asked.participant)] if text]
    elif report.problems:
        problems.append(WrongInput(report.refusal))


def _sealed_arm(asked: Asked, protocol: Protocol) -> SealedArm | None:
    """Return the envelope of a session; a sham comes from nowhere else."""
    if protocol.has_sham and asked.envelope is None:
        raise WrongInput(
            f"an arm of {protocol.study.id} is a sham, and whoever names an arm knows it; its arms come from sealed "
            "envelopes (neurofb allocate, then run --envelope DIR --donors POOL). To see one: neurofb demo --sham"
        )
    return check_envelope(asked, protocol)


def _pool(asked: Asked, protocol: Protocol, sealed_arm: SealedArm) -> DonorPool | None:
    """Return the pool of donors, which is read and checked in every arm of a study with a sham."""
    if not protocol.has_sham:
        if asked.donors is not None:
            raise WrongInput(f"{protocol.title} has no sham, so it needs no donors; leave --donors out")
        return None
    if not asked.simulate:
        raise WrongInput(
            f"an arm of {protocol.title} is a sham, and shams are for simulated participants (--simulate) until the "
            "audit of 200 sessions finds no sign of the arm (docs: Blinding)"
        )
    if asked.donors is None:
        raise WrongInput(
            f"an arm of {protocol.title} is a sham, and the engine needs its pool in every arm: give it with --donors"
        )
    pool = read_pool(asked.donors)
    require_pool(protocol, pool, sealed_arm.study.donor_pool_sha256)
    sealed_arm.public_keys()  # refused before anything is bound
    return pool


def _refusal(problems: _Problems) -> NeurofbError:
    """Return one error for all; its exit code is that of the only one, or 2."""
    if len(problems) == 1:
        return problems[0]
    lines = [f"  {line}" for error in problems for line in str(error).splitlines()]
    return WrongInput("\n".join([f"this session cannot start, {len(problems)} things are wrong:", *lines]))


def wall_time_s(date: str) -> float:
    """Return a date as seconds since 1970; infinite if there is none."""
    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError:
        return math.inf


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
