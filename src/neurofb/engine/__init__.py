"""The one place where the parts of a session are joined and the clock is read.

``engine`` is the thread that runs; ``low_latency`` keeps it quick. ``sequencer`` runs each step of the protocol's
timeline, ``commands`` what is asked from outside. ``session_log`` records and sends everything, ``status`` describes
the session, ``stimulus_control`` schedules heat. ``assembly`` chooses the parts from what was asked (``planning``).
"""
