"""No EEG, no heat; no recording, no heat; nobody who watches, no heat: through the real engine on the manual clock."""

import os
from dataclasses import dataclass, field, replace
from itertools import product

import pytest
from session_parts import START_S, Ran, command, run
from stimulation_parts import thermode_text

from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.clock import ManualClock
from neurofb.engine import engine
from neurofb.engine.assembly import assemble
from neurofb.engine.planning import Asked, plan_session
from neurofb.engine.view_heartbeats import VIEW_S, ViewHeartbeats
from neurofb.errors import RecordingFailed, SafetyStop, ScreenMissing, StreamLost, WrongFile, WrongInput
from neurofb.messages import Command
from neurofb.protocol.design import load_protocol
from neurofb.recording.session_recording import open_session_recording
from neurofb.stimulation.conditions import SAMPLE_S

BASELINE_C = 32.0
#: A stimulus at 2 s, which lasts until 9 s.
PROTOCOL = """
neurofb = ">=0.1"
[study]
id = "watched"
title = "Heat that somebody watches"
status = "adapted"
NEEDS
[[features]]
preset = "frontal_midline_theta"
[heat]
sites = ["left forearm"]
[heat.levels.hot]
celsius = 45.0
plateau_s = 4.0
[[phases]]
name = "heat"
kind = "heat"
[phases.trials]
counts = { hot = 1 }
lead_s = 2.0
anticipation_s = 0.0
relief_s = 2.0
"""
NEVER = (0.0, 1e9)


@dataclass
class Window:
    """An operator's window on a manual clock, which hangs in a span of the session."""

    hangs: tuple[float, float] | None
    view: str = "operator"
    clock: object = None
    uid: str = ""
    beaten_s: float = -1.0
    by: str = ""

    def pop(self):
        now_s = self.clock.now_s()
        if (self.hangs and self.hangs[0] <= now_s - START_S < self.hangs[1]) or now_s - self.beaten_s < 0.5:
            return []
        self.beaten_s = now_s
        by = self.by or self.view
        return [Command("alive", {"view": self.view, "drew_s": now_s}, by, self.uid).to_json()]

    def close(self):
        """Nothing is open."""


@dataclass
class Room:
    """What goes wrong when in a session, and what an observer writes down: heat, and what was there at that time."""

    silent: tuple[float, float] | None = None
    disk: tuple[float, float] | None = None
    disk_fails: bool = False
    window: Window = field(default_factory=lambda: Window(None))
    needs: str = ""
    #: Time, commanded temperature, age of what came, whether the disk works, age of what was drawn.
    seen: list[tuple[float, float, float, bool, float]] = field(default_factory=list)
    arrived_s: float = -1e9

    def run(self, tmp_path, acts=(), **asked):
        tmp_path.mkdir(exist_ok=True)
        path = tmp_path / "watched.toml"
        path.write_text(PROTOCOL.replace("NEEDS", self.needs))
        return run(tmp_path, acts, protocol=str(path), prepare=self.prepare, **{"unattended": False, **asked})

    def prepare(self, assembled):
        parts, self.clock = assembled.engine, assembled.engine._clock
        source, recorder = parts._source, assembled.session_log._recorder
        self.thermode = parts._stimulus_control._client._guard._driver
        pull, state = source.pull, recorder.state

        def pulled(timeout_s=0.0):
            if self._is_in(self.silent):
                self.clock.wait_until(self.clock.now_s() + timeout_s)
                return Batch(Chunk.empty(parts._recorded_loop.loop.next_index, len(source.labels)))
            batch = pull(timeout_s)
            if len(batch.chunk):
                self.arrived_s = self.clock.now_s()
            return batch

        def stated(now_s):
            found = state(now_s)
            if not self._is_in(self.disk):
                return found
            return (
                replace(found, failure="the file is gone")
                if self.disk_fails
                else replace(found, sync_age_s=3.0)
            )

        source.pull, recorder.state = pulled, stated
        self.window.clock, self.window.uid = self.clock, assembled.uid
        parts._commands._listeners += (self.window,)
        parts._each_step = (*parts._each_step, self.look)

    def _is_in(self, span):
        return span is not None and span[0] <= self.clock.now_s() - START_S < span[1]

    def look(self, now_s):
        drew_s = self.window.beaten_s if self.window.view == "operator" else -1e9
        age_s = now_s - self.arrived_s
        self.seen.append(
            (now_s - START_S, self.thermode.commanded_c, age_s, not self._is_in(self.disk), now_s - drew_s)
        )

    @property
    def hot(self):
        """What was seen while heat was commanded."""
        return [each for each in self.seen if each[1] > BASELINE_C + 0.01]


#: A step of the engine, which the guard takes a part in.
STEP_S = 0.05
SILENT = {"flows": None, "never sends": NEVER, "stops before": (1.0, 60.0), "stops within": (4.0, 5.8)}
DISKS = {"works": None, "never answers": NEVER, "stops within": (4.0, 6.0)}
VIEWS = {"draws": None, "never draws": NEVER, "hangs": (1.0, 5.5)}


#: Each by itself, and some at once; all of them where NEUROFB_LONG is set.
TOGETHER = [
    ("flows", "works", "draws"),
    *((silent, "works", "draws") for silent in SILENT if silent != "flows"),
    *(("flows", disk, "draws") for disk in DISKS if disk != "works"),
    *(("flows", "works", view) for view in VIEWS if view != "draws"),
    ("stops within", "stops within", "hangs"),
    ("stops before", "works", "hangs"),
]
if os.environ.get("NEUROFB_LONG"):
    TOGETHER = list(product(SILENT, DISKS, VIEWS))


@pytest.mark.parametrize(("silent", "disk", "view"), TOGETHER)
def test_heat_is_commanded_only_with_eeg_recording_and_view(tmp_path, silent, disk, view):
    room = Room(SILENT[silent], DISKS[disk], window=Window(VIEWS[view]))
    ran = room.run(tmp_path, [(10, command("end"))])
    for _, _, sample_age_s, disk_works, view_age_s in room.hot:
        assert sample_age_s <= SAMPLE_S + STEP_S
        assert disk_works
        assert view_age_s <= VIEW_S + STEP_S
    missing = {*(["EEG"] if silent != "flows" else []), *(["disk"] if disk != "works" else [])}
    missing |= {"view"} if view != "draws" else set()
    reasons = [e["message"] for e in ran.of_kind("state") if e["details"]["after"] == "paused"]
    assert bool(reasons) == bool(missing)
    if not missing:
        assert ran.of_kind("heat_ended")[0]["details"]["early"] is False
    if silent in ("never sends", "stops before") or disk == "never answers" or view == "never draws":
        assert ran.of_kind("heat_fired") == []
    assert ran.column("neurofb-stimulus", "measured_c")[-1] < BASELINE_C + 1


def test_stream_that_never_sends_gives_no_heat_and_ends_the_session(tmp_path):
    """The case that was seen: 45 °C at 3.6 s of a stream that is there, with no sample ever received."""
    ran = Room(silent=NEVER).run(tmp_path)
    assert ran.outcome.exit_code == StreamLost.exit_code
    assert ran.of_kind("heat_armed") == ran.of_kind("heat_fired") == []
    paused = next(e for e in ran.of_kind("state") if e["details"]["after"] == "paused")
    assert paused["time_s"] == pytest.approx(START_S + engine.FIRST_S, abs=STEP_S + 0.5)
    assert "no sample of EEG has come, and heat needs fresh EEG" in paused["message"]
    assert any("no sample of EEG has come yet" in each["unmet"] for each in ran.statuses)
    assert ran.column("neurofb-stimulus", "target_c").max() <= BASELINE_C


def test_stream_that_never_sends_holds_and_ends_a_session_without_heat(tmp_path):
    path = tmp_path / "rest.toml"
    text = PROTOCOL.replace("NEEDS", "")
    head, tail = (
        text[: text.index("[heat]")],
        '[[phases]]\nname = "rest"\nkind = "pause"\nduration_s = 9.0\n',
    )
    path.write_text(head + tail)

    def prepare(assembled):
        source = assembled.engine._source
        empty = Batch(Chunk.empty(0, len(source.labels)))
        clock = assembled.engine._clock
        source.pull = lambda timeout_s=0.0: (clock.wait_until(clock.now_s() + timeout_s + 0.01), empty)[1]

    ran = run(tmp_path, protocol=str(path), prepare=prepare)
    assert ran.outcome.exit_code == StreamLost.exit_code
    paused = next(e for e in ran.of_kind("state") if e["details"]["after"] == "paused")
    assert "has sent nothing for" in paused["message"]


def test_heat_test_without_eeg_heats_without_samples_but_not_unwatched(tmp_path):
    needs = "[needs]\neeg = false"
    ran = Room(silent=NEVER, needs=needs).run(tmp_path / "1", [(10, command("end"))])
    assert len(ran.of_kind("heat_fired")) == 1
    assert ran.outcome.exit_code == 0
    for room in (
        Room(silent=NEVER, needs=needs, window=Window(NEVER)),
        Room(silent=NEVER, needs=needs, disk=NEVER),
    ):
        assert room.run(tmp_path / str(id(room)), [(6, command("end"))]).of_kind("heat_fired") == []


def test_protocol_without_eeg_has_no_feedback_and_no_baseline(tmp_path):
    path = tmp_path / "p.toml"
    text = PROTOCOL.replace("NEEDS", "[needs]\neeg = false")
    path.write_text(text.replace("[heat]", '[feedback]\nfeature = "frontal_midline_theta"\n[heat]'))
    with pytest.raises(WrongFile, match="needs.eeg = false has no feedback"):
        load_protocol(path)
    path.write_text(text + '[[phases]]\nname = "rest"\nkind = "rest_baseline"\nduration_s = 9.0\n')
    with pytest.raises(WrongFile, match="needs.eeg = false collects no baseline"):
        load_protocol(path)


# -- views ---------------------------------------------------------------------------------------------------------


def test_session_without_view_pauses_tells_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "UNWATCHED_S", 8.0)
    ran = Room(window=Window(NEVER)).run(tmp_path)
    assert ran.outcome.exit_code == SafetyStop.exit_code
    assert "no operator's view is alive" in ran.outcome.message
    paused = next(e for e in ran.of_kind("state") if e["details"]["after"] == "paused")
    assert (
        "paused by the engine: no operator's view is alive: open one with `neurofb screen operator --key-file FILE`"
        in paused["message"]
    )
    assert paused["time_s"] == pytest.approx(START_S, abs=STEP_S)
    assert ran.of_kind("end")[0]["time_s"] - START_S == pytest.approx(engine.UNWATCHED_S, abs=STEP_S)
    assert ran.of_kind("heat_armed") == []


def test_pause_for_want_of_a_view_ends_by_itself_and_not_by_a_command(tmp_path):
    acts = [(5.0, command("resume")), (12.0, command("end"))]
    ran = Room(window=Window((0.0, 6.0))).run(tmp_path, acts)
    assert "a condition of heat does not hold" in ran.of_kind("refused")[0]["message"]
    running = [e["time_s"] - START_S for e in ran.of_kind("state") if e["details"]["after"] == "running"]
    assert running[1] == pytest.approx(6.0, abs=STEP_S)
    assert len(ran.of_kind("heat_fired")) == 1
    views = [each["views"] for each in ran.statuses]
    assert views[0] == []
    ((last,),) = [views[-1]]
    assert (last["name"], last["alive"], last["missing"]) == ("operator", True, "")
    assert 0.0 <= last["drew_age_s"] <= VIEW_S


def test_view_that_hangs_and_comes_back_is_logged(tmp_path):
    ran = Room(window=Window((1.0, 6.0))).run(tmp_path, [(9.0, command("end"))])
    kinds = [e["kind"] for e in ran.events if e["kind"].startswith("view_")]
    assert kinds == ["view_alive", "view_lost", "view_alive"]
    assert [e["details"]["command"] for e in ran.of_kind("command")] == ["placed", "end"]


def test_participants_window_is_no_operators_view(tmp_path):
    ran = Room(window=Window(None, "participant")).run(tmp_path, [(5.0, command("end"))])
    assert ran.of_kind("heat_armed") == []
    assert ran.statuses[-1]["views"][0]["name"] == "participant"


def test_participants_window_cannot_speak_for_the_operators(tmp_path):
    ran = Room(window=Window(None, by="participant")).run(tmp_path, [(3.0, command("end"))])
    assert ran.of_kind("heat_armed") == []
    assert "'participant' reports 'operator'" in ran.of_kind("refused")[0]["message"]


def test_heartbeat_of_a_status_that_was_not_sent_yet_is_refused():
    views = ViewHeartbeats()
    with pytest.raises(WrongInput, match="was sent before"):
        views.beat("operator", 10.1, "", 10.0)
    with pytest.raises(WrongInput, match="no view"):
        views.beat("oven", 9.0, "", 10.0)
    assert not views.is_watched(10.0)
    views.beat("operator", 9.0, "neurofb-eeg", 10.0)
    views.beat("operator", 8.0, "", 10.0)  # came late
    assert views.is_watched(9.0 + VIEW_S)
    assert not views.is_watched(9.1 + VIEW_S)
    assert not views.draws_all("operator", 10.0)


@pytest.mark.parametrize("drew_s", ["1", None, True, float("nan"), float("inf"), 10**400])
def test_heartbeat_without_a_time_is_refused(drew_s):
    document = Command("alive", {"view": "operator", "drew_s": drew_s}, "operator", "u").to_json()
    with pytest.raises(WrongInput, match="'drew_s' is a time"):
        Command.read(document)


def test_person_at_the_terminal_is_a_view():
    assert ViewHeartbeats(lambda: True).is_watched(0.0)


# -- who watches, by what was asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "option", "view"),
    [
        ({"simulate": True}, "--simulate", False),
        ({"simulate": True, "unattended": True}, "--unattended-simulation", False),
        ({"simulate": True, "unattended": False}, "", True),
        ({"unattended": True}, "--unattended-simulation", False),
        ({}, "", True),
    ],
)
def test_only_a_simulation_may_be_unattended(tmp_path, asked, option, view):
    plan = plan_session(Asked("demo", "simulated", "P01", data=tmp_path, **asked))
    assert plan.unattended == option
    assert plan.required.view is view
    assert plan.required.eeg
    assert plan.required.recording


def test_real_stimulator_is_refused_unattended(tmp_path, monkeypatch):
    from neurofb.stimulation import registry

    monkeypatch.setattr(registry, "OURS", {**registry.OURS, "real": registry.OURS["simulated"]})
    path = tmp_path / "real.toml"
    path.write_text(thermode_text("real"), "utf-8")
    with pytest.raises(WrongInput, match="somebody must watch"):
        plan_session(Asked("demo", "simulated", "P01", data=tmp_path, thermode=str(path), unattended=True))
    plan = plan_session(Asked("demo", "simulated", "P01", data=tmp_path, thermode=str(path), simulate=True))
    assert plan.required.view


def test_record_says_that_nobody_need_watch(tmp_path):
    ran = Room().run(tmp_path, [(0.5, command("end"))], unattended=True)
    assert ran.of_kind("start")[0]["details"]["unattended"] == "--unattended-simulation"


# -- the recording -------------------------------------------------------------------------------------------------


def test_failed_recording_ends_heat_and_session(tmp_path):
    room = Room(disk=(4.0, 1e9), disk_fails=True)
    ran = room.run(tmp_path)
    assert ran.outcome.exit_code == RecordingFailed.exit_code
    assert "the recording fails: the file is gone" in ran.outcome.message
    assert max(each[0] for each in room.hot) < 4.0 + STEP_S
    assert ran.statuses[-1]["state"] == "aborted"


# -- the start -----------------------------------------------------------------------------------------------------


def started(tmp_path, is_ready, acts=()):
    """Run a session whose windows are ready when ``is_ready`` says so, of the time since the program began."""
    path = tmp_path / "watched.toml"
    path.write_text(PROTOCOL.replace("NEEDS", ""))
    ready = []

    def prepare(assembled):
        go = assembled.engine.run
        assembled.engine.run = lambda: go(lambda now_s: ready.append(now_s) or is_ready(now_s - START_S))

    return run(tmp_path, acts, protocol=str(path), prepare=prepare)


def test_timeline_starts_when_the_windows_draw(tmp_path):
    """Until then samples are recorded and the status is sent, so that there is something to draw."""
    ran = started(tmp_path, lambda t_s: t_s > 3.0, [(5.0, command("end"))])
    assert ran.of_kind("phase")[0]["time_s"] == pytest.approx(START_S + 3.0, abs=STEP_S)
    assert ran.streams["simulated"]["time_stamps"][0] < START_S + 0.2
    before = [each for each in ran.statuses if each["state"] == "preparing"]
    assert len(before) >= 10
    assert before[-1]["phase"] is None
    assert before[-1]["progress"] == pytest.approx(0.0, abs=0.01)
    assert before[-1]["now_s"] == pytest.approx(3.0, abs=0.3)


def test_stop_before_the_start_ends_the_session(tmp_path):
    ran = started(tmp_path, lambda _t_s: False, [(2.0, command("stop"))])
    assert ran.outcome.exit_code == SafetyStop.exit_code
    assert ran.of_kind("phase") == []


def test_window_that_fails_at_the_start_ends_the_session_with_its_code(tmp_path):
    def is_ready(t_s):
        if t_s > 1.0:
            raise ScreenMissing("the operator's window drew nothing")
        return False

    ran = started(tmp_path, is_ready)
    assert ran.outcome.exit_code == ScreenMissing.exit_code
    assert ran.outcome.message == "the operator's window drew nothing"
    assert ran.of_kind("phase") == []


def test_heat_test_without_eeg_needs_no_stream(tmp_path):
    """Nothing sends over LSL, and nobody looks for it; the record is whole, with no sample."""
    path = tmp_path / "watched.toml"
    path.write_text(PROTOCOL.replace("NEEDS", "[needs]\neeg = false"))
    plan = plan_session(Asked(str(path), "simulated", "P01", data=tmp_path, unattended=True))
    assembled = assemble(plan, ManualClock(START_S), publish=False)
    outcome = assembled.engine.run()
    assert outcome.exit_code == 0
    assert len(Ran(outcome, assembled).of_kind("heat_fired")) == 1
    recorded = open_session_recording(assembled.folder.path)
    assert recorded.is_whole
    assert recorded.n_samples == 0
