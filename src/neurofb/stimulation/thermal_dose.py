"""The thermal dose of the skin, as a fraction of the contact-burn limit.

In: temperatures with every tick. Out: what forbids a stimulus or must end it. Kept: the dose of each site
(`SiteLedger`), and that of the present contact (`DoseTracker`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from neurofb.errors import WrongInput
from neurofb.folding import folded
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import ABORT_C_PER_S, HeatProfile, abort_dose, dose_per_s

#: A dose above this is no more than "this place is out of use". Assumed: ten times what any envelope allows.
MOST_SHARE = 10.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """The heat that may still come if nobody guards the device any more."""

    site: str
    #: The hottest that is commanded or measured, °C.
    target_c: float
    #: What is left of the stimulus as it was planned, s.
    left_s: float
    #: Whether the device is on its way to baseline already.
    is_returning: bool = False

    def most_dose(self, link_s: float, alone_s: float) -> float:
        """Return the dose of it at most: the longest time at the commanded temperature; parameters as below."""
        share = self.longest_s(link_s, alone_s) * dose_per_s(self.target_c) + abort_dose(self.target_c)
        return min(MOST_SHARE, share)

    def longest_s(self, link_s: float, alone_s: float) -> float:
        """Return how long the heat can have gone on at most.

        Parameters
        ----------
        link_s : float
            After so long without a word from the computer the device goes to baseline by itself; infinite if never.
        alone_s : float
            How long nobody knew whether it was at baseline.

        Notes
        -----
        When the guard ended is not known, only that it would have ended the stimulus after ``left_s``. A device that
        never goes to baseline by itself goes on until somebody sees that it is there.
        """
        if self.is_returning:
            return self.left_s
        return self.left_s + link_s if math.isfinite(link_s) else max(self.left_s, alone_s)


class SiteLedger:
    """The dose of each site in this session, as a fraction of the contact-burn limit. It only grows.

    A site is the same however it is spelt (``folding.folded``).

    Parameters
    ----------
    used : mapping of str to float, optional
        What is already there, as ``as_dict`` gave it.
    """

    def __init__(self, used: Mapping[str, float] | None = None) -> None:
        self._used: dict[str, float] = {}
        #: The first spelling of each site.
        self._names: dict[str, str] = {}
        self.add_shares(used or {})

    def used(self, site: str) -> float:
        """Return the dose of a site; 0 if nothing was ever there."""
        return self._used.get(folded(site), 0.0)

    def add(self, site: str, dt_s: float, temperature_c: float) -> float:
        """Add ``dt_s`` seconds at a temperature; return the dose that was added."""
        if not (dt_s >= 0 and math.isfinite(dt_s) and math.isfinite(temperature_c)):
            raise WrongInput(f"time and temperature are numbers: found {dt_s!r} s at {temperature_c!r} °C")
        share = dt_s * dose_per_s(temperature_c)
        self._add(site, share)
        return share

    def add_shares(self, shares: Mapping[str, float]) -> None:
        """Add doses by site, as ``as_dict`` returned them."""
        for site, share in shares.items():
            if not (share >= 0 and math.isfinite(share)):
                raise WrongInput(f"what {site!r} has had is a number of 0 or more; found {share!r}")
            self._add(site, float(share))

    def as_dict(self) -> dict[str, float]:
        """Return the dose of each site, by its first spelling."""
        return {self._names[key]: share for key, share in self._used.items()}

    def _add(self, site: str, share: float) -> None:
        key = folded(site)
        self._names.setdefault(key, site)
        self._used[key] = self._used.get(key, 0.0) + share


class DoseTracker:
    """Adds up the dose of the site under the probe, and keeps when each site was last at baseline.

    Attributes
    ----------
    site : str
        The place under the probe; "" before anybody has confirmed it.
    contact : float
        The dose of the present stimulus, as a fraction of the contact-burn limit.
    abort_c_per_s : float
        How fast the device cools when a stimulus is aborted.
    """

    def __init__(self, envelope: Envelope, ledger: SiteLedger) -> None:
        self._envelope, self._ledger = envelope, ledger
        self.site = ""
        self.contact = 0.0
        self.abort_c_per_s = ABORT_C_PER_S
        self._ended_s: dict[str, float] = {}
        self._was_c = 0.0

    def charge(self, dt_s: float, worst_c: float) -> None:
        """Add ``dt_s`` seconds at the hotter of now and the tick before."""
        if self.site:
            self.contact += self._ledger.add(self.site, dt_s, max(worst_c, self._was_c))
        self._was_c = worst_c

    def problems(self, profile: HeatProfile, site: str, at_s: float = math.inf) -> list[str]:
        """Return what forbids a stimulus that starts at ``at_s``."""
        since_s = at_s - self._ended_s.get(folded(site), -math.inf)
        return self._envelope.problems(
            profile, used=self.used(site), since_last_s=since_s, abort_c_per_s=self.abort_c_per_s
        )

    def too_much(self, worst_c: float, baseline_c: float) -> str:
        """Return which limit would be passed if the stimulus went on; "" if none."""
        leaving, limits = abort_dose(worst_c, baseline_c, self.abort_c_per_s), self._envelope
        if self.contact + leaving > limits.single:
            return f"this contact reaches {limits.single:g} of the contact-burn line"
        if self.used(self.site) + leaving > limits.budget:
            return f"{self.site!r} reaches its budget of {limits.budget:g} of the contact-burn line"
        return ""

    def end(self, now_s: float) -> None:
        """Keep when the site under the probe was at baseline again."""
        self._ended_s[folded(self.site)] = now_s

    def used(self, site: str) -> float:
        """Return the dose of a site."""
        return self._ledger.used(site)

    def as_dict(self) -> dict[str, float]:
        """Return the dose of each site."""
        return self._ledger.as_dict()
