"""The rules by which channels and values are judged, by number, so that an old recording is re-run by its own.

A session records the number in its settings, a participant's record in ``baseline.json``; what has none was made by the
first rules. Rules change numbers that a participant gets: a new number for each version that changes any.

===== ==============================================================================================================
rules what is new
===== ==============================================================================================================
1     the first
2     contact is judged by what is left beside the mains and their harmonics, and compared with channels that measure
      something; artifacts withhold only what they reach; filters that are fitted to a baseline expect mains that it
      did not have
3     synchrony counts fewer independent samples where the baseline shows a sharp rhythm, place by place; a feature
      that the participant's own blinks hardly move goes on in them, and blinks may be projected out
===== ==============================================================================================================
"""

from __future__ import annotations

from neurofb.errors import WrongInput

FIRST, CURRENT = 1, 3
#: From these on, how sharp rhythms are is measured, and synchrony goes by it.
SHARP_RHYTHMS = 3
#: From these on, what blinks do to each feature is measured, and features may go on in them.
BLINKS_BY_EFFECT = 3


def known(rules: object) -> int:
    """Return the number of the rules if there are such.

    Raises
    ------
    WrongInput
        If a newer version made them.
    """
    if not isinstance(rules, int) or not FIRST <= rules <= CURRENT:
        raise WrongInput(
            f"rules {rules!r} are not known here, only {FIRST} to {CURRENT}; was it recorded by a newer version of "
            "neurofb?"
        )
    return rules
