"""The tables inside a device profile, each with the ``source`` of its facts."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Count, Flag, NotNegative, Number, Positive, Table, Text

Unit = Literal["nanovolts", "microvolts", "millivolts", "volts"]


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


class Program(Table):
    """A program that sends the device's EEG: its stream on LSL, and the range of the values that it sends.

    Facts of the device that are left out here are as at the top of the profile.
    """

    program: Text = Field(description='the program that sends, as "muselsl"')
    names: tuple[Text, ...] = Field(
        (),
        description='the stream names it uses, * for any text, as ["actiCHamp-*"]; left out: it is recognised '
        "otherwise, or only named by --program",
    )
    source_ids: tuple[Text, ...] = Field(
        (), description='the source_ids it uses, * for any text, as ["openbcigui"]'
    )
    manufacturers: tuple[Text, ...] = Field((), description='what it writes as the manufacturer, as ["Muse"]')
    type: Text = Field("EEG", description='the LSL type, as "EEG"')
    has_labels: Flag = Field(True, description="true or false: does the stream name its channels")
    has_unit: Flag = Field(True, description="true or false: does the stream name its unit")
    source_id: str = Field("", description="what it gives as source_id, in words")
    labels: tuple[Text, ...] = Field((), description="its EEG labels, if not as in the profile")
    order: tuple[Text, ...] = Field(
        (), description="the profile's labels in the order of its columns, if it is another one"
    )
    columns_before: tuple[Text, ...] = Field((), description="the labels of the columns before the EEG")
    columns_after: tuple[Text, ...] = Field((), description="the labels of the columns after the EEG")
    columns_optional: tuple[Text, ...] = Field(
        (), description="the labels of columns that may follow all others, or not"
    )
    unit: Unit | None = Field(None, description='the unit it sends, as "volts", if not the device\'s')
    uv_per_count: Positive | None = Field(
        None, description="how many µV one of its numbers is, if it sends counts of the converter, as 0.488"
    )
    resolution_uv: Positive | None = Field(
        None, description="the step of its values in µV, as 0.488, if not the device's"
    )
    rails_uv: tuple[Number, Number] | Literal["unknown"] | None = Field(
        None,
        description="the lowest and highest value in µV that it sends before it clips, as [-725.0, 725.0], or "
        '"unknown"; left out: the device\'s',
    )
    dc_level_uv: Number | None = Field(
        None, description="the level in µV of a silent channel, as 0.0, if not the device's"
    )
    chunk_sizes: tuple[Count, ...] = Field((), description="how many samples it sends at once, as [12]")
    clock: Literal["lsl", "unix"] = Field("lsl", description='the clock of its time stamps, "lsl" or "unix"')
    start: Mapping[Literal["en", "de"], Text] = Field(
        {}, description='what to do if it sends nothing, as {en = "press Start", de = "Start drücken"}'
    )
    note: str = Field("", description="what its users should know, in a sentence")
    source: Text = Field(description='where this is known from, or "assumed: why"')

    @field_validator("rails_uv")
    @classmethod
    def _rails_in_order(
        cls, rails_uv: tuple[float, float] | Literal["unknown"] | None
    ) -> tuple[float, float] | Literal["unknown"] | None:
        if isinstance(rails_uv, tuple) and not rails_uv[0] < rails_uv[1]:
            raise ValueError(f"the low rail comes first and lies below the high one, as {sorted(rails_uv)}")
        return rails_uv

    @field_validator("uv_per_count")
    @classmethod
    def _counts_or_volts(cls, uv_per_count: float | None, info: ValidationInfo) -> float | None:
        if uv_per_count is not None and info.data.get("unit") is not None:
            raise ValueError("give unit for voltages or uv_per_count for counts, not both")
        return uv_per_count

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
    """Limits of usable EEG; each is applied to one second, around its slow level, which itself decides nothing."""

    flat_uv: Positive = Field(description="the deviation (SD, µV) below which a channel is flat, as 0.1")
    noisy_uv: Positive = Field(description="the deviation (SD, µV) above which it is noise, as 100.0")
    max_dc_uv: Positive | None = Field(
        None, description="read in older profiles and no longer judged: a level makes no channel bad"
    )
    line_uv: Positive = Field(description="the mains amplitude (µV) above which contact is poor, as 20.0")
    source: Text = Field(description='where this is known from, or "assumed: why"')

    @field_validator("noisy_uv")
    @classmethod
    def _above_flat(cls, noisy_uv: float, info: ValidationInfo) -> float:
        flat_uv = info.data.get("flat_uv", 0.0)
        if noisy_uv <= flat_uv:
            raise ValueError(f"noisy_uv must lie above flat_uv, which is {flat_uv}")
        return noisy_uv
