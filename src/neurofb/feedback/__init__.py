"""Feedback from feature values: baseline, threshold, mapping, hold.

Nothing here reads a clock or knows a screen. Values come in with their sample index; time is index over rate.
``settings`` is what a protocol says, ``baseline`` what later values are scored against, ``threshold`` what they must
exceed, as one of the ``threshold_rules`` computes it, ``mapping`` what that earns, ``inhibits`` what withholds it;
``feedback`` joins them.
"""
