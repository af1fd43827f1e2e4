"""The CRED-nf checklist, filled from a session as far as a program can know.

Source: Ros et al. 2020, Brain 143(6):1674, doi 10.1093/brain/awaa009; items in our own words. 23 items, 24 boxes, for
item 2c has two. Which items are essential and which encouraged is not known here, so ``level`` is null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neurofb.events import plain
from neurofb.offline.report import crednf_known as known
from neurofb.offline.report.facts import Facts

State = Literal["filled", "partly", "author"]
#: What of an item the record can say, and whether that fills it.
Said = tuple[State, list[str]]
DOI = "10.1093/brain/awaa009"

DOMAINS: Mapping[str, str] = {
    "1": "Before the experiment",
    "2": "Control groups",
    "3": "Control measures",
    "4": "Feedback specifications",
    "5": "Outcome measures: brain",
    "6": "Outcome measures: behaviour",
    "7": "Data storage",
}


@dataclass(frozen=True)
class Item:
    """One box of the checklist.

    Attributes
    ----------
    id : str
        Of the item, as "2c".
    box : int
        1, or 2 for the second box of an item.
    words : str
        What is to be reported.
    author : str
        What the author must add, whatever the program knows.
    says : callable
        Gives what the record says.
    """

    id: str
    box: int
    words: str
    author: str
    says: Callable[[Facts], Said]


@dataclass(frozen=True)
class Box:
    """A box, answered for one session.

    Attributes
    ----------
    item : Item
    state : {"filled", "partly", "author"}
    known : list of str
        What the record says.
    """

    item: Item
    state: State
    known: list[str]

    @property
    def author(self) -> str:
        """What is left to the author; empty where nothing is."""
        return "" if self.state == "filled" else self.item.author

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        item = self.item
        return {
            "item": item.id,
            "box": item.box,
            "domain": DOMAINS[item.id[0]],
            "words": item.words,
            "level": None,
            "state": self.state,
            "known": self.known,
            "author": self.author,
        }


ITEMS: tuple[Item, ...] = (
    Item("1a", 1, "Protocol and planned analyses are registered beforehand",
         "Registry and identifier; deposit the hash of the protocol there.", known.registration),
    Item("1b", 1, "The sample size is justified", "How the number of participants was chosen.", known.nothing),
    Item("2a", 1, "There is a control group or condition",
         "Which comparison the study makes and why this control answers it.", known.arms),
    Item("2b", 1, "Double-blind where possible",
         "Who did not know the allocation, and how it was kept from them.", known.blinding),
    Item("2c", 1, "Those who rate outcomes do not know the allocation", "Who rated, and what they knew.",
         known.nothing),
    Item("2c", 2, "Those who analyse do not know the allocation", "Who analysed, and when the allocation was opened.",
         known.nothing),
    Item("2d", 1, "It is examined whether blinding held",
         "Guesses of participants and staff with their confidence, and the index computed from them.", known.guesses),
    Item("2e", 1, "A trial of clinical effects compares with standard care",
         "Whether this applies, and which care was compared.", known.nothing),
    Item("3a", 1, "Psychosocial factors are measured",
         "Expectations, motivation, effort and mood: which instruments, when.", known.psychosocial),
    Item("3b", 1, "It is said whether participants were given strategies",
         "Anything that was said beside the protocol's texts.", known.instructions),
    Item("3c", 1, "Strategies that participants used are reported",
         "What participants did, from the answers of all sessions.", known.strategies),
    Item("3d", 1, "Online processing and artifact correction are described",
         "Anything done outside this program.", known.processing),
    Item("3e", 1, "Artifacts are compared between conditions and groups",
         "The comparison between groups; this report has one session.", known.artifacts),
    Item("4a", 1, "The feature of the feedback is defined", "Why this feature.", known.feature),
    Item("4b", 1, "The schedule of reinforcement is described and justified",
         "Why this threshold rule and this rate.", known.schedule),
    Item("4c", 1, "Modality and content of the feedback are described",
         "Screenshots or a sample of the sound; loudness and distance of the screen.", known.modality),
    Item("4d", 1, "Every feedback variable is kept as it was delivered", "Where the data lie.", known.delivered),
    Item("4e", 1, "Hardware and software are named",
         "Electrodes and impedances, stimulator, screen and loudspeaker; latency of screen and sound.",
         known.equipment),
    Item("5a", 1, "Success of regulation is reported from the feedback signal",
         "The same over all participants and sessions.", known.success),
    Item("5b", 1, "The signal is shown within and between sessions, and rest before and after",
         "The course over sessions and participants.", known.course),
    Item("5c", 1, "Groups are compared, not only with their own baseline",
         "The comparison between groups; this report has one session.", known.nothing),
    Item("6a", 1, "Behavioural or clinical measures were chosen beforehand, with what counts as a relevant change",
         "Which measures, and the change that was set as relevant before the study.", known.behaviour),
    Item("6b", 1, "Success of regulation is related to behaviour",
         "The relation over participants.", known.relation),
    Item("7a", 1, "Materials, code, raw data and final values are shared",
         "Where, under which licence, with which consent.", known.storage),
)  # fmt: skip


def checklist(facts: Facts) -> list[Box]:
    """Answer every box for one session."""
    return [Box(item, *item.says(facts)) for item in ITEMS]


def as_document(facts: Facts, boxes: list[Box]) -> dict[str, Any]:
    """Return the checklist of a session as JSON can hold it."""
    counts = Counter(box.state for box in boxes)
    document = {
        "format": 1,
        "checklist": "CRED-nf",
        "source": f"Ros et al. 2020, doi {DOI}; items in our own words",
        "level": "null throughout: which items are essential and which encouraged is not known to this program",
        "session": facts.uid,
        "participant": facts.at("participant"),
        "protocol": facts.at("protocol", "id"),
        "protocol_sha256": facts.at("protocol", "sha256"),
        "neurofb": facts.at("provenance", "neurofb"),
        "whole": facts.recording.is_whole,
        "n_items": len({box.item.id for box in boxes}),
        "n_boxes": len(boxes),
        "counts": {state: counts[state] for state in ("filled", "partly", "author")},
        "boxes": [box.as_dict() for box in boxes],
    }
    found: dict[str, Any] = plain(document)
    return found
