"""The settings of a session's loop, and their JSON, from which it is made again to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from neurofb.devices import QualityLimits
from neurofb.dsp.quality import Converter
from neurofb.dsp.rules import CURRENT, FIRST, known
from neurofb.errors import WrongInput
from neurofb.features.feature_specs import Feature
from neurofb.features.presets import AnyFeature
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.blink_effects import Blinks
from neurofb.spatial.montage import Montage

_FEATURES: TypeAdapter[tuple[AnyFeature, ...]] = TypeAdapter(tuple[Feature, ...])


@dataclass(frozen=True, eq=False)
class LoopSettings:
    """The settings of a loop, before any fit to the participant."""

    features: tuple[AnyFeature, ...]
    montage: Montage
    rate_hz: float
    #: None for a session without feedback.
    feedback: FeedbackSettings | None = None
    #: Settings of a sufficient baseline.
    enough: BaselineSettings = field(default_factory=BaselineSettings)
    reference: Any = None
    line_hz: float | None = None
    #: By which the loop judges and designs.
    rules: int = CURRENT
    #: Whether blinks may be projected out.
    blinks: Blinks = "withhold"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        montage = self.montage
        rails_uv = montage.converter.rails_uv
        return {
            "features": [feature.model_dump(mode="json") for feature in self.features],
            "montage": {
                "labels": list(montage.labels),
                "regions": {name: list(channels) for name, channels in montage.regions.items()},
                "positions": list(montage.positions),
                "limits": montage.limits.model_dump(mode="json"),
                "rails_uv": None if rails_uv is None else list(rails_uv),
                "dc_level_uv": montage.converter.dc_level_uv,
                "judges_level": montage.converter.judges_level,
            },
            "rate_hz": self.rate_hz,
            "feedback": _settings(self.feedback, FeedbackSettings),
            "enough": _settings(self.enough, BaselineSettings),
            "reference": list(self.reference) if isinstance(self.reference, tuple) else self.reference,
            "line_hz": self.line_hz,
            "rules": self.rules,
            "blinks": self.blinks,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LoopSettings:
        """Return the settings that ``as_dict`` was called on."""
        try:
            montage, feedback, reference = content["montage"], content["feedback"], content["reference"]
            return cls(
                _FEATURES.validate_python(content["features"]),
                Montage(
                    tuple(montage["labels"]),
                    {name: tuple(channels) for name, channels in montage["regions"].items()},
                    tuple(montage["positions"]),
                    QualityLimits.model_validate(montage["limits"]),
                    Converter(
                        None if montage["rails_uv"] is None else tuple(montage["rails_uv"]),
                        montage["dc_level_uv"],
                        montage.get("judges_level", True),
                    ),
                ),
                float(content["rate_hz"]),
                None if feedback is None else FeedbackSettings.model_validate(feedback),
                BaselineSettings.model_validate(content["enough"]),
                tuple(reference) if isinstance(reference, list) else reference,
                content["line_hz"],
                known(content.get("rules", FIRST)),
                content.get("blinks", "withhold"),
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise WrongInput(
                f"the settings of this session's loop cannot be understood ({error}); was it recorded by another "
                "version of neurofb?"
            ) from None


def _settings(given: Any, kind: Any) -> dict[str, Any] | None:
    """Return the settings that the loop reads, without a protocol's own additions."""
    return None if given is None else given.model_dump(mode="json", include=set(kind.model_fields))
