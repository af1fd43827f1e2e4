"""neurofb: real-time EEG for mindfulness practice during pain stimuli.

Read the package in the order a sample travels: ``lsl`` → ``acquisition`` → ``dsp``, ``spatial`` → ``features`` →
``feedback`` → ``loop`` → ``protocol``, ``stimulation`` → ``recording`` → ``engine``; ``views``, ``screens``,
``offline`` and ``commands`` use what the engine publishes and records.

Research software. Not a medical device. Not for diagnosis, treatment or relief of pain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from neurofb.offline.session import Session

__version__ = "0.1.0"


def read_session(path: Path | str) -> Session:
    """Open a recorded session, whole or broken off, for MNE and for whatever reads arrays.

    Parameters
    ----------
    path : path-like
        The folder of a session, or the recording in it.

    Returns
    -------
    Session
        See `neurofb.offline.session.Session`: ``raw()``, ``epochs()``, ``features``, ``feedback``, ``ratings`` …
    """
    from neurofb.offline.session import read_session

    return read_session(path)
