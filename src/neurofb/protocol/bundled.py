"""Protocol files by name or path, as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from neurofb.errors import UnknownFile, UnknownName, WrongFile, nearest


def protocol_names() -> list[str]:
    """Return the names of all protocols that come with neurofb, sorted."""
    return sorted(_bundled())


def protocol_text(name_or_path: str | Path) -> tuple[str, str]:
    """Return the text of a protocol file, and how messages call it."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name_or_path)
        try:
            return path.read_text("utf-8"), str(path)
        except FileNotFoundError:
            beside = [each.name for each in path.parent.glob("*.toml")]
            raise UnknownFile(
                f"no protocol file {path}; in its folder {nearest(path.name, beside)}; "
                f"bundled protocols are {', '.join(protocol_names())}"
            ) from None
        except (UnicodeDecodeError, OSError) as error:
            raise WrongFile(f"{path} cannot be read as text in UTF-8: {error}; save it as UTF-8") from None
    bundled = _bundled()
    known = "-".join(re.split(r"[\s_-]+", name.strip().lower()))
    if known not in bundled:
        raise UnknownName(
            f"no protocol {name!r}; {nearest(known, bundled)}. A protocol of your own is given by its path, as "
            "./my-study.toml"
        )
    return bundled[known].read_text("utf-8"), str(bundled[known])


def _bundled() -> dict[str, Any]:
    from importlib.resources import files

    folder = files("neurofb.protocols")
    return {each.name.removesuffix(".toml"): each for each in folder.iterdir() if each.name.endswith(".toml")}
