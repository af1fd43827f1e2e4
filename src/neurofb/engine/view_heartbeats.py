"""Which views of the session are alive: windows that draw its live status, and a terminal with a person at it.

In: heartbeats of windows (the command ``alive``), each with the time of the status that was drawn last. Out: whether an
operator watches, the state of each window, events when that changes. Kept: the newest heartbeat of each view.

A window echoes ``SessionStatus.clock_s`` of what it has drawn, so its age is the difference of two readings of the
engine's own clock: a window whose drawing hangs, or that gets no status, sends no newer time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurofb.errors import WrongInput
from neurofb.status import OPERATOR, ViewStatus

#: A view that has drawn nothing newer for so long is not alive. Assumed: six heartbeats
#: (``session_client.ALIVE_EVERY_S``), and longer than a busy computer holds up a window.
VIEW_S = 3.0
#: The windows there are; only the operator's counts for heat.
PARTICIPANT = "participant"
VIEWS = (OPERATOR, PARTICIPANT)


@dataclass(slots=True)
class _View:
    drew_s: float
    missing: str
    is_alive: bool = True


class ViewHeartbeats:
    """The views of one session.

    ``has_person`` tells whether a person sits at the terminal that this session runs in.
    """

    def __init__(self, has_person: Callable[[], bool] = lambda: False) -> None:
        self._has_person = has_person
        self._views: dict[str, _View] = {}

    def beat(self, view: str, drew_s: float, missing: str, now_s: float) -> None:
        """Note the heartbeat of a view that has drawn the status of ``drew_s``.

        Raises
        ------
        WrongInput
            If there is no such view, or it says that it drew what was not sent yet.
        """
        if view not in VIEWS:
            raise WrongInput(f"no view {view[:40]!r}; there are: {', '.join(VIEWS)}")
        if not drew_s <= now_s:
            raise WrongInput(f"a view draws what was sent before {now_s:.3f} s; found {drew_s:.3f} s")
        known = self._views.get(view)
        if known is None:
            self._views[view] = _View(drew_s, missing, is_alive=False)
        elif drew_s >= known.drew_s:
            known.drew_s, known.missing = drew_s, missing

    def is_watched(self, now_s: float) -> bool:
        """Return whether an operator's view is alive."""
        return self._is_alive(OPERATOR, now_s) or self._has_person()

    def draws_all(self, view: str, now_s: float) -> bool:
        """Return whether a view is alive and receives all streams that it shows."""
        return self._is_alive(view, now_s) and not self._views[view].missing

    def statuses(self, now_s: float) -> tuple[ViewStatus, ...]:
        """Return the state of each window that has ever drawn, in the order of their names."""
        return tuple(
            ViewStatus(name, self._is_alive(name, now_s), now_s - view.drew_s, view.missing)
            for name, view in sorted(self._views.items())
        )

    def pop_changes(self, now_s: float) -> list[tuple[str, str]]:
        """Return kind and message of an event for each window that came alive or stopped since the last call."""
        changes = []
        for name, view in self._views.items():
            is_alive = self._is_alive(name, now_s)
            if is_alive == view.is_alive:
                continue
            view.is_alive = is_alive
            if is_alive:
                changes.append(("view_alive", f"the {name}'s window draws the session"))
            else:
                age_s = now_s - view.drew_s
                changes.append(("view_lost", f"the {name}'s window has drawn nothing new for {age_s:.1f} s"))
        return changes

    def _is_alive(self, name: str, now_s: float) -> bool:
        view = self._views.get(name)
        return view is not None and now_s - view.drew_s <= VIEW_S
