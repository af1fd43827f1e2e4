"""Samples come in.

``source`` says what every source promises; ``lsl`` is the only file that speaks with LSL; ``timing`` turns
received stamps into a smooth clock and finds what is missing; ``playback`` reads recordings.
"""
