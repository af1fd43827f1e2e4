"""Screens and sound: processes of their own, which subscribe to a session over LSL and send commands back.

``bridge`` keeps the newest of a session; ``models`` says what is to be shown, without Qt; ``widgets`` draw it;
``participant``, ``operator`` and ``setup_page`` are the windows; ``start`` opens one, or says why it cannot.
A session runs without any of this: a screen that hangs, closes or comes late changes nothing in it.
"""
