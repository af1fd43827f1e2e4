"""A small protocol as text, and with parts of it replaced."""

from neurofb.protocol.design import Protocol, read_protocol

TEXT = """
neurofb = ">=0.1"

[study]
id = "small"
title = "A small protocol"
status = "adapted"

[[features]]
preset = "posterior_alpha"

[feedback]
feature = "posterior_alpha"

[baseline]
least_s = 20.0
longest_s = 60.0

[heat]
sites = ["left", "right"]
rotation = "by block"

[heat.levels.warm]
celsius = 36.0
plateau_s = 3.0

[heat.levels.hot]
celsius = 46.0
plateau_s = 5.0

[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong?"
low = "none"
high = "most"
answer_s = 6.0

[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = 30.0

[[phases]]
name = "training"
kind = "training"
feedback = "rest"

[phases.trials]
order = ["warm", "hot"]
anticipation_s = 2.0
relief_s = 3.0
ratings = ["intensity"]
"""


def text_with(*changes: tuple[str, str], more: str = "") -> str:
    """Return the small protocol with pieces replaced, each of which must be there, and more at its end."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + more


def protocol_with(*changes: tuple[str, str], more: str = "") -> Protocol:
    protocol, found = read_protocol(text_with(*changes, more=more), "small.toml")
    assert protocol is not None, found
    assert not found
    return protocol
