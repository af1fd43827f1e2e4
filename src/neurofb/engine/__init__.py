"""The one place where the parts of a session are joined.

``engine`` is the thread that runs; ``readiness`` and ``understudy`` keep it quick. ``conductor`` does what each step
of the protocol's timeline asks, ``journal`` keeps and tells everything that happens, ``status`` says how things are,
``publishing`` speaks LSL, ``assembly`` chooses the parts from what was asked.
"""
