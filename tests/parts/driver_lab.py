"""A guard, the driver of a real thermode, and its device in memory, on a clock that tests move."""

from stimulation_parts import SITE

from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermal_dose import SiteLedger

PROFILE = HeatProfile(46.0, 3.0)


class DriverLab:
    """What the tests of each driver do with it; ``link`` knows when the device was switched on."""

    #: From the request of a stimulus to its start, if nothing is said.
    usual_in_s = 0.3

    def __init__(self, clock, device, link, driver, *, cap_c=49.0, tick_s=0.004, connect=True):
        self.clock, self.device, self.link, self.driver = clock, device, link, driver
        self.guard = Guard(driver, Envelope(cap_c=cap_c), clock, SiteLedger(), NOTHING)
        self.tick_s, self.events, self.hottest_c, self.hot_s = tick_s, [], 0.0, 0.0
        if connect:
            self.abilities = self.guard.connect()
            self.guard.place(SITE)

    def run(self, for_s):
        for _ in range(round(for_s / self.tick_s)):
            self.clock.advance(self.tick_s)
            self.guard.step()
            self.events += self.guard.pop_events()
            self.device.advance(self.clock.now_s() - self.link.start_s)
            self.hottest_c = max(self.hottest_c, self.device.hottest_c)
            self.hot_s += self.tick_s if self.device.hottest_c > 33.0 else 0.0
        return self

    def give(self, profile=PROFILE, in_s=None):
        in_s = self.usual_in_s if in_s is None else in_s
        self.guard.schedule(profile, SITE, self.clock.now_s() + in_s)
        return self

    def said(self, kind):
        return [event for event in self.events if event.kind == kind]

    def why(self, kind):
        return " | ".join(event.message for event in self.said(kind))
