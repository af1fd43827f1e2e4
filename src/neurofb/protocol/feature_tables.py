"""The tables ``[[features]]`` of a protocol: a preset by its name, or a declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from neurofb.config import Place, problems_of
from neurofb.errors import NeurofbError, UnknownName, WrongInput, nearest
from neurofb.features.feature_specs import Asymmetry, MuscleIndex, OcularIndex, Power, Ratio, SynchronyOf
from neurofb.features.presets import AnyFeature, preset

_KINDS: Mapping[str, type[AnyFeature]] = {
    "power": Power,
    "ratio": Ratio,
    "asymmetry": Asymmetry,
    "synchrony": SynchronyOf,
    "muscle": MuscleIndex,
    "ocular": OcularIndex,
}


def parse_features(tables: Any) -> tuple[list[AnyFeature], list[tuple[Place, str]]]:
    """Return the features that tables declare, and the problems of the others, each at its place."""
    found: list[tuple[Place, str]] = []
    specs: list[AnyFeature] = []
    for i, content in enumerate(tables):
        try:
            specs.append(_feature(content))
        except ValidationError as error:
            model = next((each for each in _KINDS.values() if each.__name__ == error.title), Power)
            found += [((i, *place), text) for place, text in problems_of(model, error)]
        except NeurofbError as error:
            found.append(((i,), str(error)))
    return specs, found


def _feature(content: Any) -> AnyFeature:
    """Return a declared feature; a preset may have keys of its own, which then hold instead."""
    if not isinstance(content, Mapping):
        raise WrongInput('a feature is a table, as preset = "posterior_alpha"')
    keys = dict(content)
    if "preset" in keys:
        usual = preset(str(keys.pop("preset")))
        return type(usual).model_validate({**usual.model_dump(), **keys}) if keys else usual
    kind = str(keys.get("kind", ""))
    if kind not in _KINDS:
        raise UnknownName(f'a feature needs preset or kind; found kind = "{kind}"; {nearest(kind, _KINDS)}')
    return _KINDS[kind].model_validate(keys)
