"""Parts that the tests of stimulation share: a guarded simulated thermode on a manual clock, an outside account,
and heat profiles to draw."""

import importlib.resources
import math
import re
from dataclasses import dataclass, field

from hypothesis import strategies as st

from neurofb.clock import ManualClock
from neurofb.stimulation.conditions import NOTHING, Required
from neurofb.stimulation.drivers.simulated import (
    COOLANT_C,
    MAX_C,
    PASSIVE_S,
    RISE_C_PER_S,
    SKIN_LAG_S,
    SimulatedThermode,
    parse_heat_faults,
)
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermal_dose import SiteLedger

SITE = "left forearm"
START_S = 100.0
#: So far above its baseline a probe is at baseline for the observer.
REST_C = 1.0


def share_per_s(skin_c):
    """The contact-burn line once more, on its own: what a second at this skin temperature uses up of it."""
    return 1.0 / math.exp(113.4 - 28.3 * math.log(skin_c))


@dataclass
class Bench:
    """A guard, its thermode, and what an observer with eyes on the skin would write down."""

    faults: tuple[str, ...] = ()
    envelope: Envelope = field(default_factory=Envelope)
    seed: int = 1
    used: float = 0.0
    tick_s: float = 0.01
    required: Required = NOTHING

    def __post_init__(self):
        self.clock = ManualClock(START_S)
        self.thermode = SimulatedThermode(self.clock, self.seed, parse_heat_faults(self.faults))
        self.guard = Guard(
            self.thermode, self.envelope, self.clock, SiteLedger({SITE: self.used}), self.required
        )
        self.guard.connect()
        self.guard.place(SITE)
        self.guard.pop_events()
        self.events = []
        self.commanded_c = self.probe_c = self.skin_c = 32.0
        self.onsets_s = [fault.at_s for fault in parse_heat_faults(self.faults)]
        self.baseline_c = 32.0
        self.hot_s = -math.inf
        self.fault_s, self.late_s = math.inf, 0.0
        self.site, self.shares, self.contacts = SITE, {SITE: self.used}, []

    @property
    def t_s(self):
        return self.clock.now_s() - START_S

    @property
    def rest_c(self):
        return self.baseline_c + REST_C

    @property
    def site_share(self):
        return self.shares[SITE]

    def fire(self, profile, in_s=0.05, site=SITE):
        """Arm a stimulus, wait until the probe is at its baseline, and fire it."""
        if site != self.guard._skin.site:
            self.guard.place(site)
        ticket = self.guard.arm(profile, site)
        self.site = site
        if profile.baseline_c != self.baseline_c:
            self.baseline_c = profile.baseline_c
            self.run(1.0)
        self.guard.fire(ticket, self.clock.now_s() + in_s)
        return ticket

    def run(self, for_s):
        for _ in range(max(1, round(for_s / self.tick_s))):
            self.step()
        return self

    def run_to_rest(self, at_most_s=60.0):
        """Step until nothing is armed or on and the probe is at baseline."""
        until_s = self.t_s + at_most_s
        self.step()
        while self.t_s < until_s and (self.guard.is_hot or self.thermode.probe_c > self.rest_c):
            self.step()
        return self

    def step(self):
        """Step by a tick; keep the hottest of what is true, and integrate the skin for itself."""
        self.clock.advance(self.tick_s)
        self.guard.step()
        probe_c, skin_c = self.thermode.probe_c, self.thermode.skin_c
        self.commanded_c = max(self.commanded_c, self.thermode.commanded_c)
        self.probe_c, self.skin_c = max(self.probe_c, probe_c), max(self.skin_c, skin_c)
        # A device that fails after its stimulus was aborted has a second and a half from then.
        onsets = [at_s for at_s in self.onsets_s if at_s <= self.t_s]
        self.fault_s = max([self.fault_s, *onsets]) if self.fault_s < math.inf else math.inf
        if probe_c > self.rest_c:
            self.hot_s = self.t_s
            self.late_s = max(self.late_s, self.t_s - self.fault_s)
        share = self.feel()
        new = self.guard.pop_events()
        self.events += new
        for event in new:
            if event.kind == "heat_fault":
                self.fault_s = min(self.fault_s, self.t_s)
            elif event.kind == "heat_armed":
                self.fault_s = math.inf
        self.contacts += [0.0] * sum(event.kind == "heat_fired" for event in new)
        if self.contacts:
            self.contacts[-1] += share

    def feel(self):
        """Add a tick at the skin's temperature to the place under the probe."""
        share = self.tick_s * share_per_s(self.thermode.skin_c)
        self.shares[self.site] = self.shares.get(self.site, 0.0) + share
        return share

    def kinds(self):
        return [event.kind for event in self.events]

    def said(self, kind):
        return [event for event in self.events if event.kind == kind]


def deaf_runaway_skin_c(from_c):
    """Where the skin gets if the device heats at full power from here, hears nothing, and cuts its own power.

    In closed form, on its own: a straight rise of the probe to the cut-off, one step of the device's control too far;
    then an exponential fall towards the coolant. The skin is a first-order lag behind both.
    """
    top_c = MAX_C + RISE_C_PER_S * 0.005
    up_s = (top_c - from_c) / RISE_C_PER_S
    at_top_c = from_c + RISE_C_PER_S * (up_s - SKIN_LAG_S * -math.expm1(-up_s / SKIN_LAG_S))
    slow_c = (top_c - COOLANT_C) / (1 - SKIN_LAG_S / PASSIVE_S)
    quick_c = at_top_c - COOLANT_C - slow_c
    t_s = math.log(-quick_c * PASSIVE_S / (slow_c * SKIN_LAG_S)) / (1 / SKIN_LAG_S - 1 / PASSIVE_S)
    return COOLANT_C + slow_c * math.exp(-t_s / PASSIVE_S) + quick_c * math.exp(-t_s / SKIN_LAG_S)


@st.composite
def profiles(draw):
    """Draw a heat profile."""
    baseline_c = draw(st.floats(30.0, 35.0))
    return HeatProfile(
        target_c=draw(st.floats(baseline_c, 50.0)),
        plateau_s=draw(st.floats(0.0, 20.0)),
        baseline_c=baseline_c,
        rise_c_per_s=draw(st.floats(0.5, 70.0)),
        return_c_per_s=draw(st.floats(0.5, 40.0)),
    )


def thermode_text(kind, **changes):
    """Return the text of a thermode's file for a driver of this kind; ``changes`` are rows as the file has them."""
    text = importlib.resources.files("neurofb._devices.thermodes").joinpath("tcs-ii.toml").read_text("utf-8")
    text = text.replace('kind = "tcs2"', f'kind = "{kind}"')
    for key, value in changes.items():
        before = re.search(rf"(?m)^{key} = .*$", text)[0]
        text = text.replace(before, f"{key} = {value}", 1)
    return text
