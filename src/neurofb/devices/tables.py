"""The tables inside a device profile, each with the ``source`` of its facts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Count, Flag, NotNegative, Positive, Table, Text


class HardwareFilter(Table):
    """The filter in the device's hardware."""

    high_pass_hz: Positive | None = Field(None, description="the high-pass corner in Hz, as 0.5")
    low_pass_hz: Positive | None = Field(None, description="the low-pass corner in Hz, as 45.0")
    notches_hz: tuple[Positive, ...] = Field((), description="the notches in Hz, as [50.0, 60.0]")
    source: Text = Field(description='where this is known from, or "assumed: why"')


class OtherStream(Table):
    """A stream the device sends beside its EEG."""

    type: Text = Field(description='the LSL type, as "ACC"')
    labels: tuple[Text, ...] = Field(min_length=1, description='the channels in order, as ["X", "Y", "Z"]')
    rate_hz: NotNegative = Field(description="the rate in Hz, 0 if irregular")
    unit: Text = Field(description='the unit of its values, as "g" or "none"')
    source: Text = Field(description='where this is known from, or "assumed: why"')


class Outlet(Table):
    """The device's EEG stream on LSL from one program; devices have several, or none that is known."""

    program: Text = Field(description='the program that makes the outlet, as "muselsl"')
    names: tuple[Text, ...] = Field(
        min_length=1, description='the stream names it uses, * for any text, as ["actiCHamp-*"]'
    )
    type: Text = Field("EEG", description='the LSL type, as "EEG"')
    has_labels: Flag = Field(description="true or false: does the stream name its channels")
    has_unit: Flag = Field(description="true or false: does the stream name its unit")
    source_id: str = Field("", description="what it gives as source_id, in words")
    labels: tuple[Text, ...] = Field((), description="its EEG labels, if not as in the profile")
    columns_before: tuple[Text, ...] = Field((), description="the labels of the columns before the EEG")
    columns_after: tuple[Text, ...] = Field((), description="the labels of the columns after the EEG")
    columns_optional: tuple[Text, ...] = Field(
        (), description="the labels of columns that may follow all others, or not"
    )
    chunk_sizes: tuple[Count, ...] = Field((), description="how many samples it sends at once, as [12]")
    clock: Literal["lsl", "unix"] = Field(description='the clock of its time stamps, "lsl" or "unix"')
    source: Text = Field(description='where this is known from, or "assumed: why"')

    def fits_name(self, name: str) -> bool:
        """Return whether a stream of this name can come from the program."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def column_counts(self, n_eeg: int) -> range:
        """Return the numbers of channels that its stream may have for ``n_eeg`` EEG channels."""
        least = len(self.columns_before) + n_eeg + len(self.columns_after)
        return range(least, least + len(self.columns_optional) + 1)


class Packets(Table):
    """The radio packets of a device, and the content of the stream where one is lost."""

    samples: Count = Field(description="how many samples one packet holds, as 12")
    lost: Literal["zeros", "gap"] = Field(
        description='what a lost packet leaves: "zeros", or a "gap" where samples are skipped'
    )
    source: Text = Field(description='where this is known from, or "assumed: why"')


class QualityLimits(Table):
    """Limits of usable EEG; each is applied to one second, around its slow level."""

    flat_uv: Positive = Field(description="the deviation (SD, µV) below which a channel is flat, as 0.1")
    noisy_uv: Positive = Field(description="the deviation (SD, µV) above which it is noise, as 100.0")
    max_dc_uv: Positive = Field(description="how far (µV) the level may lie from dc_level_uv, as 500.0")
    line_uv: Positive = Field(description="the mains amplitude (µV) above which contact is poor, as 20.0")
    source: Text = Field(description='where this is known from, or "assumed: why"')

    @field_validator("noisy_uv")
    @classmethod
    def _above_flat(cls, noisy_uv: float, info: ValidationInfo) -> float:
        flat_uv = info.data.get("flat_uv", 0.0)
        if noisy_uv <= flat_uv:
            raise ValueError(f"noisy_uv must lie above flat_uv, which is {flat_uv}")
        return noisy_uv
