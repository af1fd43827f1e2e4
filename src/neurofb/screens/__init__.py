"""Screens and sound: processes of their own, which subscribe to a session over LSL and send commands back.

``views.session_client`` keeps the newest data of a session and the models in ``views`` compute what is shown, without
Qt; ``widgets`` draw it. ``participant``, ``operator`` and ``setup_page`` are the windows; ``start`` opens one, or
raises an error with the reason.
A session runs without any of this: a screen that hangs, closes or comes late changes nothing in it.
"""
