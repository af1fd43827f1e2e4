"""Every driver of a stimulator with a device that is simulated, behind one face: what the common suite needs."""

import math

from mms_device import MainStationDevice, MemoryNetwork
from stimulation_parts import SITE
from tcs_device import MemoryPort, TcsDevice
from tsa2_device import Tsa2Device

from neurofb.clock import ManualClock
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.drivers.mms import MainStation
from neurofb.stimulation.drivers.simulated import SimulatedThermode, parse_heat_faults
from neurofb.stimulation.drivers.tcs2 import Tcs2
from neurofb.stimulation.drivers.tsa2 import Tsa2
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.thermode_file import Program, load_thermode

#: What goes wrong, and what each device calls it; None: it has no such fault.
FAULTS = {
    #                     tcs2                         tsa2                  mms                   simulated
    "unsilenced stream": ("never quiet", None, None, None),
    "cut answers": ("cut answers", "cut answers", "cut answers", None),
    "swallowed abort": ("swallows the first aborts", "abort swallowed", "abort swallowed", None),
    "stuck zone": ("stuck zone", "stuck zone", "stuck zone", "stuck@2"),
    "hotter than told": ("cap ignored", "hotter than told", "hotter than told", "runaway@2"),
    "reset in mid-stimulus": ("resets when hot", "resets when hot", "resets when hot", None),
    "cable pulled": ("gone", "gone", "gone", "lost@2"),
    "wrong baud": ("dead", "wrong baud", "dead", None),
    "late echo": ("doubled answers", "late echo", "late echo", "stale@2"),
    "silent": ("silent when hot", "silent when hot", "silent when hot", "lost@1.5+2"),
    "half-closed socket": (None, None, "half closed", None),
    "stalls of a second": ("stalls", "stalls", "stalls", "lost@2+1"),
    "goes on after an abort": ("deaf to abort", "goes on after abort", "goes on after abort", None),
    "emergency button": ("pressed", "emergency when hot", "0x4000 when hot", None),
    "overheated": ("overheated", "overheated", "overheated", None),
    "probe unplugged": ("probe unplugged", "probe unplugged", "probe unplugged", "wrong_readback@2:20"),
}
COLUMNS = {"tcs2": 0, "tsa2": 1, "mms": 2, "simulated": 3}
#: Driver, and what is special about the device.
RIGS = {
    "tcs2 v16": ("tcs2", {"firmware": "v16"}),
    "tcs2 v12": ("tcs2", {"firmware": "v12"}),
    "tcs2 old": ("tcs2", {"firmware": "old"}),
    "tsa2": ("tsa2", {}),
    "tsa2 of three heaters": ("tsa2", {"heaters": 3, "layout": 5, "after": "leaves"}),
    "mms": ("mms", {}),
    "mms, big-endian": ("mms", {"length": "big"}),
    "simulated": ("simulated", {}),
}
PROGRAMS = [(c, s) for c in (34.0, 40.0, 44.0, 46.0, 48.5) for s in (0.5, 2.0, 4.0)]


class StallingPort(MemoryPort):
    """A port that carries nothing for a second out of every four."""

    def _stalls(self):
        return "stalls" in self.device.faults and (self.clock.now_s() - self.start_s) % 4.0 >= 3.0

    def read(self):
        if self._stalls():
            self.device.advance(self.clock.now_s() - self.start_s)
            return b""
        return super().read()

    def write(self, data):
        return 0 if self._stalls() else super().write(data)


class Rig:
    """A guard, a driver, and its device, on a clock that tests move."""

    def __init__(self, name, fault=None, cap_c=49.0, tick_s=0.004, late_s=0.05):
        self.kind, special = RIGS[name]
        word = FAULTS[fault][COLUMNS[self.kind]] if fault else None
        self.clock, self.tick_s, self.word = ManualClock(100.0), tick_s, word
        faults = [word] if word and word not in ("gone", "pressed") else []
        self.network, self.noise = None, None
        if self.kind == "simulated":
            self.device = self.driver = SimulatedThermode(self.clock, 1, parse_heat_faults(faults))
        elif self.kind == "mms":
            programs = {40 + n: (c, s, 8.0, 8.0) for n, (c, s) in enumerate(PROGRAMS)}
            self.device = MainStationDevice(faults=faults, late_s=late_s, programs=programs, **special)
            self.network = MemoryNetwork(self.clock, self.device)
            rows = tuple(Program(code=40 + n, target_c=c, plateau_s=s) for n, (c, s) in enumerate(PROGRAMS))
            file = load_thermode("medoc-main-station").model_copy(update={"programs": rows})
            self.driver = MainStation(file, self.clock, lambda _: self.network)
        else:
            device, driver, file = {
                "tcs2": (TcsDevice, Tcs2, "tcs-ii"),
                "tsa2": (Tsa2Device, Tsa2, "medoc-tsa-2"),
            }[self.kind]
            self.device = device(faults=faults, late_s=late_s, **special)
            self.network = StallingPort(self.clock, self.device)
            self.driver = driver(load_thermode(file), self.clock, lambda _: self.network)
        self.guard = Guard(self.driver, Envelope(cap_c=cap_c), self.clock, SiteLedger(), NOTHING)
        self.events, self.top_c, self.hot_s = [], 0.0, 0.0

    @property
    def truth_c(self):
        return self.device.probe_c if self.kind == "simulated" else self.device.hottest_c

    def connect(self):
        self.abilities = self.guard.connect()
        self.guard.place(SITE)
        return self

    def profile(self, target_c, plateau_s, rise):
        """Return a stimulus that the device can give, near what is drawn."""
        if self.kind == "mms":
            near = min(PROGRAMS, key=lambda row: (abs(row[0] - target_c), abs(row[1] - plateau_s)))
            return HeatProfile(*near)
        most = min(rise, self.driver.capabilities().rise_c_per_s)
        return HeatProfile(target_c, plateau_s, rise_c_per_s=most, return_c_per_s=min(most, 8.0))

    def run(self, for_s):
        for _ in range(round(for_s / self.tick_s)):
            self.clock.advance(self.tick_s)
            self.break_it()
            self.guard.step()
            self.events += self.guard.pop_events()
            if self.network is not None:
                self.device.advance(self.clock.now_s() - self.network.start_s)
            self.top_c = max(self.top_c, self.truth_c)
            self.hot_s += self.tick_s if self.truth_c > 33.0 else 0.0
        return self

    def break_it(self):
        """Do by hand what the device has no word for."""
        if self.word == "gone" and self.truth_c > 40.0:
            self.network.gone_s = min(self.network.gone_s, self.clock.now_s())
        if self.word == "pressed":
            self.device.pressed[0] = self.truth_c > 40.0

    def look(self, for_s):
        """Read the driver without a guard; return its news."""
        found = []
        for _ in range(round(for_s / self.tick_s)):
            self.clock.advance(self.tick_s)
            self.driver.read()
            found += self.driver.pop_news()
        return found

    def put_noise(self, data):
        """Let the device say these bytes instead of what it should."""
        if self.kind == "mms":
            self.network.noise = lambda: data
        elif self.kind != "simulated":
            self.device.say = lambda *_: None
            self.device.out += data

    def said(self, kind):
        return [event for event in self.events if event.kind == kind]

    @property
    def gone_s(self):
        return math.inf if self.network is None else self.network.gone_s
