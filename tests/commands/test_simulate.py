"""``neurofb simulate``: what is received over LSL is what the seed says, and the command says what it does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable

import numpy as np
import pylsl
import pytest
from click.testing import CliRunner
from simulation_parts import arrivals_until

from neurofb.cli import commands
from neurofb.clock import ManualClock
from neurofb.commands.simulate import plan_of
from neurofb.devices import load_profile
from neurofb.errors import UnknownDevice, UnknownName, WrongInput
from neurofb.lsl.outlet import Channel, NumericOutlet
from neurofb.simulation.faults import parse_faults
from neurofb.simulation.head import Head
from neurofb.simulation.learner import LearnerSettings
from neurofb.simulation.sender import Progress, Sender, SendPlan, make_headset, truth_channels

#: In a shell's background job SIGINT is ignored from birth; here it must not be.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from neurofb.cli import main; main()",
    "simulate",
]


@pytest.fixture
def name() -> str:
    return f"neurofb-test-{uuid.uuid4().hex}"


def listen(name: str) -> pylsl.StreamInlet:
    found = pylsl.resolve_byprop("name", name, minimum=1, timeout=30)
    assert len(found) == 1, f"{len(found)} streams of the name {name}"
    inlet = pylsl.StreamInlet(found[0])
    inlet.open_stream(timeout=30)
    return inlet


def receive(inlet: pylsl.StreamInlet, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    samples, stamps = [], []
    while len(stamps) < n_samples:
        sample, stamp = inlet.pull_sample(timeout=30)
        assert stamp is not None, f"no more than {len(stamps)} of {n_samples} samples came"
        samples.append(sample)
        stamps.append(stamp)
    return np.array(samples), np.array(stamps)


def test_simulate_is_seeded_and_publishes_ground_truth(name: str) -> None:
    arguments = ["simulated", "--seed", "5", "--eyes", "closed", "--name", name, "--json"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sender:
        try:
            assert sender.stdout is not None
            document = json.loads(sender.stdout.readline())
            truth_inlet, eeg_inlet = listen(f"{name}-truth"), listen(name)
            eeg, eeg_s = receive(eeg_inlet, 300)
            truth, truth_s = receive(truth_inlet, 100)
            while truth_s[-1] < eeg_s[-1]:
                more, more_s = receive(truth_inlet, 100)
                truth, truth_s = np.concatenate([truth, more]), np.concatenate([truth_s, more_s])
            progress = json.loads(sender.stdout.readline())
        finally:
            sender.send_signal(signal.SIGINT)
        out, err = sender.communicate(timeout=30)
    assert (document["eeg"], document["truth"], document["seed"]) == (name, f"{name}-truth", 5)
    assert progress["kind"] == "progress"
    # Stopped by Ctrl-C: 130, the account as the last line, no traceback.
    assert sender.returncode == 130
    assert "Traceback" not in err
    counts = json.loads(out.splitlines()[-1])
    assert counts["sent"] == counts["delivered"] + counts["zeroed"] + counts["lost"] + counts["in_flight"]
    # The same seed in this process gives the samples that came over the network.
    index = truth[:, 0].astype(int)
    np.testing.assert_array_equal(np.diff(index), 1)
    plan = SendPlan(load_profile("simulated"), seed=5, eyes="closed")
    headset = make_headset(plan)
    made = np.concatenate([arrival.samples for arrival in arrivals_until(headset, (index[-1] + 50) / 250)])
    at = int(index[np.argmin(np.abs(truth_s - eeg_s[0]))])
    np.testing.assert_array_equal(eeg, made[at : at + 300].astype(np.float32))
    np.testing.assert_allclose(np.diff(eeg_s), 1 / 250, atol=1e-9)
    columns = [channel.label for channel in truth_channels(headset.head)]
    head = Head([*plan.profile.labels], 250.0, headset.head.settings)
    alpha = head.rhythm_names.index("posterior.alpha")
    expected = head.generate(index[-1] + 1).truth
    np.testing.assert_array_equal(
        truth[:, columns.index("posterior.alpha.amplitude")], expected.amplitude_uv[index, alpha]
    )
    np.testing.assert_array_equal(
        truth[:, columns.index("posterior.alpha.phase")], expected.phase_rad[index, alpha]
    )
    assert np.all(truth[:, columns.index("eyes_closed")] == 1.0)


def test_simulate_with_wait_sends_nothing_before_a_listener(name: str) -> None:
    arguments = [
        "openbci-ganglion",
        "--duration",
        "1",
        "--name",
        name,
        "--wait",
        "--fault",
        "loss@0.3+0.2",
        "--json",
    ]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        sender.stdout.readline()
        inlet = listen(name)
        stamps = []
        while True:
            _, stamp = inlet.pull_sample(timeout=0.2)
            if stamp is None and sender.poll() is not None:
                break
            if stamp is not None:
                stamps.append(stamp)
        counts = json.loads(sender.stdout.read().splitlines()[-1])
    assert len(stamps) == counts["delivered"]
    assert counts["lost"] == 40
    assert np.diff(stamps).max() == pytest.approx(41 / 200, abs=1e-6)


# on a manual clock


def test_ten_minutes_on_manual_clock_are_sent_and_counted(name: str) -> None:
    faults = parse_faults(["loss=0.05", "drift=300", "disconnect@100+5", "disconnect@300+3", "stall@200+1"])
    sender = Sender(SendPlan(load_profile("muse-2"), seed=1, faults=faults, name=name), ManualClock())
    said: list[Progress] = []
    sender.run(600.0, said.append)
    assert [round(progress.stream_s) for progress in said] == list(range(1, 601))
    down = [round(progress.stream_s) for progress in said if not progress.connected]
    assert down == [100, 101, 102, 103, 104, 300, 301, 302]
    counts = sender.counts()
    assert counts["sent"] == counts["delivered"] + counts["zeroed"] + counts["lost"] + counts["in_flight"]
    assert counts["sent"] == pytest.approx(600 * 256 * 1.0003, abs=12)
    assert sender.truth.n_sent == counts["sent"]
    assert [
        entry["n_samples"] / 256 for entry in counts["not_through"] if entry["cause"] == "disconnect"
    ] == (pytest.approx([5.0, 3.0], abs=0.1))
    json.dumps(counts)


def test_speed_runs_stream_ahead_of_clock(name: str) -> None:
    clock = ManualClock(50.0)
    sender = Sender(SendPlan(load_profile("simulated"), speed=8.0, name=name), clock)
    sender.run(60.0)
    assert clock.now_s() == pytest.approx(50.0 + 60.0 / 8.0, abs=0.01)
    assert sender.counts()["sent"] == pytest.approx(60 * 250, abs=5)


class Enough(Exception):
    """Raised when the awaited state is reached."""


class Crowd(ManualClock):
    """A manual clock on which another stream sends its sample at every step."""

    def __init__(self, outlet: NumericOutlet, sample: list[float]) -> None:
        super().__init__()
        self._outlet, self._sample = outlet, np.array([sample])
        self._deadline_s = pylsl.local_clock() + 30

    def wait_until(self, time_s: float) -> None:
        assert pylsl.local_clock() < self._deadline_s, "the simulated head has not heard in 30 s"
        self._outlet.push(self._sample)
        super().wait_until(time_s)


def run_until(sender: Sender, happened: Callable[[Progress], bool]) -> Progress:
    last: list[Progress] = []

    def look(progress: Progress) -> None:
        if happened(progress):
            last.append(progress)
            raise Enough

    with pytest.raises(Enough):
        sender.run(None, look)
    return last[0]


def test_simulated_head_follows_stimulus_stream(name: str) -> None:
    labels = ("target_c", "measured_c", "site")
    stimulus = NumericOutlet(
        f"{name}-stimulus", [Channel(label, "celsius", "Stimulus") for label in labels], 0.0
    )
    plan = SendPlan(load_profile("openbci-ganglion"), name=name, stimulus=f"{name}-stimulus")
    sender = Sender(plan, Crowd(stimulus, [49.0, 46.5, 1.0]))
    seen = run_until(sender, lambda progress: progress.temperature_c != 32.0)
    assert seen.temperature_c == 46.5
    truth = sender.headset.head.generate(10 * 200).truth
    assert np.all(truth.temperature_c == 46.5)
    assert truth.pain[-1] == pytest.approx(0.5, abs=1e-4)


def test_learner_learns_from_feedback_stream(name: str) -> None:
    labels = ("level", "reward", "usable", "value", "threshold", "age_s")
    feedback = NumericOutlet(
        f"{name}-feedback", [Channel(label, "none", "Feedback") for label in labels], 0.0
    )
    plan = SendPlan(
        load_profile("openbci-ganglion"),
        name=name,
        learner=LearnerSettings(rate_per_min=1.0),
        feedback=f"{name}-feedback",
    )
    sender = Sender(plan, Crowd(feedback, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    assert sender.describe()["listens"]["feedback"] == f"{name}-feedback"
    seen = run_until(sender, lambda progress: progress.gain > 1.001)
    assert sender.headset.head.gain("frontal_midline.theta") >= seen.gain


# words


@pytest.mark.parametrize(
    ("device", "options", "error", "match"),
    [
        ("muse2", {}, UnknownDevice, "did you mean 'muse-2'"),
        ("muse-2", {"speed": 0.0}, WrongInput, "above 0, found 0"),
        ("muse-2", {"rate": 100.0}, WrongInput, "cannot sample at 100 Hz; it can at 256 Hz"),
        ("muse-2", {"learn": -1.0}, WrongInput, "learning rate"),
        ("muse-2", {"faults": ("stal@1+1",)}, UnknownName, "did you mean 'stall'"),
    ],
)
def test_wrong_options_are_refused(device: str, options: dict, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        plan_of(device, **options)


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (["muse2"], 3, "no device profile 'muse2'"),
        (["muse-2", "--fault", "stall@1"], 2, "for how long"),
        (["muse-2", "--fault", "saturation@1+1:Cz"], 2, "no channel 'Cz'"),
        (["muse-2", "--program", "GreenMuse"], 2, "knows no program 'GreenMuse'"),
        (["muse-2", "--duration", "0"], 2, "above 0 s, found 0"),
        (["muse-2", "--eyes", "shut"], 2, "'shut' is not one of"),
        (["muse-2", "--seed", "-1"], 2, "-1 is not in the range"),
    ],
)
def test_wrong_input_is_one_message_and_its_exit_code(arguments: list[str], code: int, match: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert match in done.stderr
    assert "Traceback" not in done.stderr


def test_simulate_prints_stream_and_counts(name: str) -> None:
    arguments = [
        "simulate",
        "muse-2",
        "--duration",
        "4",
        "--speed",
        "50",
        "--name",
        name,
        "--fault",
        "disconnect@1+1",
    ]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    assert (
        f"Sending {name}: 4 channels at 256 Hz in microvolts, 50 × real time, seed 0, eyes open"
        in done.stdout
    )
    assert f"{name}-truth" in done.stdout
    # 3 whole packets of 12 in 144 ms: 85 packets in 4 s.
    assert "Sent 1020 samples: " in done.stdout
    assert "disconnected" in done.stderr


def test_simulate_json_is_one_document_per_line(name: str) -> None:
    arguments = [
        "simulate",
        "simulated",
        "--rate",
        "500",
        "--duration",
        "2",
        "--speed",
        "50",
        "--name",
        name,
        "--json",
    ]
    done = CliRunner().invoke(commands, [*arguments, "--learn", "0.5"])
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [document["kind"] for document in documents] == ["sending", "progress", "progress", "sent"]
    assert documents[0]["rate_hz"] == 500.0
    assert documents[0]["listens"] == {"heat": "neurofb-stimulus", "feedback": "neurofb-feedback"}
    assert documents[-1]["sent"] == 1000


def test_help_shows_syntax_of_each_fault() -> None:
    done = CliRunner().invoke(commands, ["simulate", "muse-2", "--fault", "help"])
    assert done.exit_code == 0
    for word in ("stall@10+2", "disconnect@30+5", "off@5+3:AF7", "loss=0.05"):
        assert word in done.stdout


def test_imitated_program_sets_name_labels_and_type() -> None:
    assert plan_of("muse-2", program="muselsl").stream_name == "Muse"
    assert plan_of("muse-2").stream_name == "neurofb-simulated-muse-2"
    assert make_headset(plan_of("muse-2", stamps="arrival")).settings.stamps == "arrival"
    assert plan_of("actichamp-32", program="LSL-actiCHamp").stream_name == "actiCHamp-simulated"
