"""One number, and whether to trust it.

``value`` is what every feature gives; the others say how each kind is computed from the dsp's output.
"""
