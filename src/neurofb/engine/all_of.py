"""Does every one of several things, also if one before it fails: for the end, where nothing may be left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def all_of(actions: Iterable[Callable[[], object]]) -> None:
    """Do all actions in their order, then raise the first error that there was.

    Raises
    ------
    BaseException
        Whatever came first.
    """
    first: BaseException | None = None
    for action in actions:
        try:
            action()
        except BaseException as error:  # what comes after it may be the record, or the device
            first = first or error
    if first is not None:
        raise first
