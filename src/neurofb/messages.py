"""Streams and documents of a running session: names, columns, commands, shared by engine, screens and outsiders.

All streams of a session have the session's uid in their ``source_id`` (``neurofb-<uid>-<stream>``) and in their
description (``session``). Numbers go out as double64, documents as JSON text in a string channel.

==================== ================================================================= ==========================
stream               content                                                           rate
==================== ================================================================= ==========================
neurofb-eeg          the EEG in µV on its grid, NaN where missing                      that of the headset
neurofb-features     every feature's value and usable flag                             the hop rate
neurofb-feedback     level, reward, usable, value, threshold, age_s                    the hop rate
neurofb-stimulus     target and measured temperature, state, site                      that of the stimulator
neurofb-events       JSON documents as they are recorded: ``events.Event``             when something happens
neurofb-status       JSON: ``status.SessionStatus``, all that a screen needs           5 Hz
neurofb-commands     JSON documents from screens and others to the engine              when somebody acts
neurofb-pairing      JSON: replies to windows that pair by a code (``neurofb.pairing``) after the first code
==================== ================================================================= ==========================
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofb.errors import WrongInput

EEG, FEATURES, FEEDBACK = "neurofb-eeg", "neurofb-features", "neurofb-feedback"
STIMULUS, EVENTS, STATUS, COMMANDS = (
    "neurofb-stimulus",
    "neurofb-events",
    "neurofb-status",
    "neurofb-commands",
)
PAIRING = "neurofb-pairing"

#: Columns of the feedback stream, and the unit of each.
FEEDBACK_COLUMNS: Mapping[str, str] = {
    "level": "none",
    "reward": "none",
    "usable": "none",
    "value": "feature",
    "threshold": "SD",
    "age_s": "s",
}
STIMULUS_COLUMNS: Mapping[str, str] = {
    "target_c": "celsius",
    "measured_c": "celsius",
    "state": "none",
    "site": "none",
}
STATUS_RATE_HZ = 5.0

#: What may come from outside, with the keys each needs and those it may have. All of them lower the risk or leave it.
COMMAND_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "rating": (("prompt", "value"), ()),  # value: a number 0–100, a text for free text, or null for no answer
    "button": ((), ()),  # "now it hurts" in the method of limits: the temperature returns
    # This stimulus ends at once, or is left out if it is about to come; the session goes on.
    "stop_heat": ((), ()),
    "stop": (("by",), ()),  # the stimulus ends at once and the session with it; by: participant or operator
    "pause": ((), ()),  # at once; a stimulus that is on ends
    "resume": ((), ()),  # only the pause ends: no stimulus starts before its own time
    "continue": ((), ()),  # goes on from an instruction that waits for somebody
    # The probe is at this place, which the session waits for: heat may be armed there.
    "placed": (("site",), ()),
    "mark": (("text",), ()),  # a note in the record
    # A window's heartbeat: operator or participant, ``clock_s`` of the status it drew last, streams that it lacks.
    "alive": (("view", "drew_s"), ("missing",)),
    "end": ((), ()),  # the session ends in order
    # A window on another computer asks for its key (``neurofb.pairing``); never reaches the engine.
    "pair": (("exchange",), ("host", "message", "confirm")),
}
#: Words of commands that would start or raise heat: never taken from outside, whoever asks, and recorded.
HEAT_WORDS = (
    "heat",
    "fire",
    "arm",
    "raise",
    "temperature",
    "target_c",
    "level",
    "start_stimulus",
    "stimulus",
)


#: No clock reads so many seconds: 30,000 years.
LATEST_S = 1e12
#: Commands that only lower: none is refused for its form, and none needs a session.
STOPS = ("stop", "stop_heat")
#: A longer document is no command: free text is cut at 2,000 letters.
LONGEST = 16_000
#: A higher counter is none: no sender sends so many.
MOST_COMMANDS = 2**53


def source_id(uid: str, stream: str) -> str:
    """Return the ``source_id`` of a session's stream."""
    return f"neurofb-{uid}-{stream.removeprefix('neurofb-')}"


@dataclass(frozen=True, slots=True)
class Command:
    """Something that is asked of the engine from outside.

    Attributes
    ----------
    name : str
        One of ``COMMAND_KEYS``.
    content : mapping
        Its keys and values.
    by : str
        Who asks: ``participant``, ``operator`` or a program's own name.
    session : str
        The uid of the session that is meant; empty for whichever hears it, which only ``STOPS`` may be.
    sender : str
        Which window or program, where several have the same role; its counter is its own.
    counter : int
        Of a signed command (see ``neurofb.signing``): higher than that of the sender's command before; else 0.
    """

    name: str
    content: Mapping[str, Any]
    by: str = ""
    session: str = ""
    sender: str = field(default="", compare=False)
    counter: int = field(default=0, compare=False)

    def to_json(self) -> str:
        """Return the document that is sent, not yet signed."""
        document = {"command": self.name, "by": self.by, "session": self.session, **self.content}
        if self.sender:
            document["sender"] = self.sender
        return json.dumps(document, sort_keys=True, ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> Command:
        """Return the command that a document asks for.

        Raises
        ------
        WrongInput
            If it is none, or one that would start or raise heat; the message says which and why.
        """
        name, by, session, content = _fields(text)
        if name in STOPS:  # whatever else it says: no stop is refused for its form
            return cls(name, {}, by, session)
        sender, counter = str(content.pop("sender", "")), content.pop("counter", 0)
        content.pop("signature", None)
        if not isinstance(counter, int) or isinstance(counter, bool) or not 0 <= counter < MOST_COMMANDS:
            raise WrongInput(f"a command's counter is a whole number; found {str(counter)[:80]!r}")
        _check_name(name, content)
        _check_keys(name, content)
        _check_words(content)
        if name == "rating":
            _check_value(content["value"])
        if not session:
            raise WrongInput(f'the command {name!r} does not say which session it is for, as "session": "…"')
        return cls(name, content, by, session, sender, counter)


def asks_to_stop(text: str, uid: str) -> bool:
    """Return whether a document is a stop for this session, or for whichever hears it."""
    try:
        command = Command.read(text)
    except WrongInput:
        return False
    return command.name == "stop" and command.session in ("", uid)


def _fields(text: str) -> tuple[str, str, str, dict[str, Any]]:
    """Return name, sender, session and the other keys of a document."""
    document = _document(text)
    if not isinstance(document, dict) or not isinstance(document.get("command"), str):
        raise WrongInput(f'a command is a document as {{"command": "stop"}}; found {text[:80]!r}')
    name = document.pop("command")
    by, session = (str(document.pop(key, None) or "") for key in ("by", "session"))
    return name, by, session, document


def _document(text: str) -> Any:
    """Return the JSON of a text from an unknown sender, or refuse it."""
    if len(text) > LONGEST:
        raise WrongInput(f"a command has {LONGEST} letters at most; found {len(text)}")
    try:
        document = json.loads(text)
        text.encode()
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise WrongInput(f"a command is a JSON document; found {text[:80]!r} ({error})") from None
    return document


def _check_name(name: str, content: Mapping[str, Any]) -> None:
    """Refuse what would start or raise heat, and unknown commands."""
    if name in HEAT_WORDS or any(key in HEAT_WORDS for key in content):
        raise WrongInput(
            f"{name!r} would start or raise heat: heat follows the protocol's schedule only and can from outside "
            "be lowered or stopped, never raised"
        )
    if name not in COMMAND_KEYS:
        raise WrongInput(f"no command {name!r}; there are: {', '.join(COMMAND_KEYS)}")


def _check_keys(name: str, content: Mapping[str, Any]) -> None:
    """Refuse a command that lacks a key or has one too many."""
    needed, optional = COMMAND_KEYS[name]
    absent = [key for key in needed if key not in content]
    unknown = [key for key in content if key not in (*needed, *optional)]
    if absent or unknown:
        lacks = f" lacks {', '.join(absent)}" if absent else ""
        more = f" does not know {', '.join(unknown)}" if unknown else ""
        raise WrongInput(f"the command {name!r}{lacks}{' and' if lacks and more else ''}{more}")


def _check_words(document: Mapping[str, Any]) -> None:
    """Refuse anything but a text where a text is expected."""
    for key in ("prompt", "text", "view", "missing", "site", "exchange", "host", "message", "confirm"):
        if key in document and not isinstance(document[key], str):
            raise WrongInput(f"{key!r} is a text; found {str(document[key])[:80]!r}")
    drew_s = document.get("drew_s", 0.0)
    if isinstance(drew_s, bool) or not isinstance(drew_s, int | float) or not abs(drew_s) < LATEST_S:
        raise WrongInput(f"'drew_s' is a time in s; found {str(drew_s)[:80]!r}")


def _check_value(value: Any) -> None:
    # Compared before it is asked whether it is finite: a whole number may be too large for that.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    if value is None or isinstance(value, str) or (is_number and math.isfinite(value)):
        return
    raise WrongInput(
        f"a rating's value is a number from 0 to 100, a text, or null for no answer; found {str(value)[:80]!r}"
    )
