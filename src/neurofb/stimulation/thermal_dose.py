"""The thermal dose of the skin, as a fraction of the contact-burn limit.

In: temperatures with every tick. Out: what forbids a stimulus or must end it. Kept: the dose of each site
(`SiteLedger`), and that of the present contact (`DoseTracker`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from neurofb.errors import WrongInput
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile, abort_dose, dose_per_s


class SiteLedger:
    """The dose of each site in this session, as a fraction of the contact-burn limit. It only grows.

    Parameters
    ----------
    used : mapping of str to float, optional
        What is already there, as ``as_dict`` gave it.
    """

    def __init__(self, used: Mapping[str, float] | None = None) -> None:
        self._used: dict[str, float] = {}
        for site, share in (used or {}).items():
            if not (share >= 0 and math.isfinite(share)):
                raise WrongInput(f"what {site!r} has had is a number of 0 or more; found {share!r}")
            self._used[site] = float(share)

    def used(self, site: str) -> float:
        """Return the dose of a site; 0 if nothing was ever there."""
        return self._used.get(site, 0.0)

    def add(self, site: str, dt_s: float, temperature_c: float) -> float:
        """Add ``dt_s`` seconds at a temperature; return the dose that was added."""
        if not (dt_s >= 0 and math.isfinite(dt_s) and math.isfinite(temperature_c)):
            raise WrongInput(f"time and temperature are numbers: found {dt_s!r} s at {temperature_c!r} °C")
        share = dt_s * dose_per_s(temperature_c)
        self._used[site] = self.used(site) + share
        return share

    def as_dict(self) -> dict[str, float]:
        """Return the dose of each site."""
        return dict(self._used)


class DoseTracker:
    """Adds up the dose of the site under the probe, and keeps when each site was last at baseline.

    Attributes
    ----------
    site : str
        The place under the probe; "" before the first stimulus is armed.
    contact : float
        The dose of the present stimulus, as a fraction of the contact-burn limit.
    """

    def __init__(self, envelope: Envelope, ledger: SiteLedger) -> None:
        self._envelope, self._ledger = envelope, ledger
        self.site = ""
        self.contact = 0.0
        self._ended_s: dict[str, float] = {}
        self._was_c = 0.0

    def charge(self, dt_s: float, worst_c: float) -> None:
        """Add ``dt_s`` seconds at the hotter of now and the tick before."""
        if self.site:
            self.contact += self._ledger.add(self.site, dt_s, max(worst_c, self._was_c))
        self._was_c = worst_c

    def problems(self, profile: HeatProfile, site: str, at_s: float = math.inf) -> list[str]:
        """Return what forbids a stimulus that starts at ``at_s``."""
        since_s = at_s - self._ended_s.get(site, -math.inf)
        return self._envelope.problems(profile, used=self.used(site), since_last_s=since_s)

    def too_much(self, worst_c: float, baseline_c: float) -> str:
        """Return which limit would be passed if the stimulus went on; "" if none."""
        leaving, limits = abort_dose(worst_c, baseline_c), self._envelope
        if self.contact + leaving > limits.single:
            return f"this contact reaches {limits.single:g} of the contact-burn line"
        if self.used(self.site) + leaving > limits.budget:
            return f"{self.site!r} reaches its budget of {limits.budget:g} of the contact-burn line"
        return ""

    def end(self, now_s: float) -> None:
        """Keep when the site under the probe was at baseline again."""
        self._ended_s[self.site] = now_s

    def used(self, site: str) -> float:
        """Return the dose of a site."""
        return self._ledger.used(site)

    def as_dict(self) -> dict[str, float]:
        """Return the dose of each site."""
        return self._ledger.as_dict()
