"""Headsets and amplifiers, and the electrodes of the 10-05 system.

``profile`` reads a TOML profile (``devices/*.toml`` or a user's own) into a checked model, ``tables`` holds the parts
of that model, ``electrodes`` the names and places of the 10-05 system, ``columns`` finds the EEG among a stream's
columns, and what its unit is.
"""

from neurofb.devices.profile import UNIT_UV, DeviceProfile, load_profile, load_profiles, profile_names
from neurofb.devices.tables import HardwareFilter, OtherStream, Packets, Program, QualityLimits

__all__ = [
    "UNIT_UV",
    "DeviceProfile",
    "HardwareFilter",
    "OtherStream",
    "Packets",
    "Program",
    "QualityLimits",
    "load_profile",
    "load_profiles",
    "profile_names",
]
