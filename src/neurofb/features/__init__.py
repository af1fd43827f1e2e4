"""One number, and whether to trust it.

::

    declared         what a protocol may ask for                 (frozen tables)
    presets          the same by name, with how good the evidence is
    montage          labels, regions and limits of a headset
    checks           declared features against montage and rate: every problem before the start
    meters           declared features → numbers
    gate             may a feature be used now, and if not, why
    value            what every feature gives
    alpha_frequency  the individual alpha frequency of a baseline, which bands may follow
"""
