"""The numbers of a protocol that need a published source, and those without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Tables whose numbers come from a study, if the protocol follows one.
CITED_TABLES = ("heat", "calibration", "scales", "phases")


def number_paths(content: Mapping[str, Any]) -> Iterator[str]:
    """Return the paths of all numbers in a dumped protocol that a study may give: by names, not by places."""
    for table in CITED_TABLES:
        if table in content:
            yield from _numbers_below(table, content[table])


def uncited(paths: Iterator[str], sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths that no key of ``sources`` is, or is above."""
    return tuple(
        path for path in paths if not any(path == key or path.startswith(f"{key}.") for key in sources)
    )


def _numbers_below(path: str, content: Any) -> Iterator[str]:
    if isinstance(content, bool) or content is None or isinstance(content, str):
        return
    is_span = isinstance(content, Mapping) and set(content) == {"low_s", "high_s"}
    if is_span or isinstance(content, int | float):
        yield path
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _numbers_below(f"{path}.{key}", value)
    elif any(isinstance(each, Mapping) for each in content):
        for each in content:
            yield from _numbers_below(f"{path}.{each['name']}", each)
    elif any(isinstance(each, int | float) for each in content):
        yield path
