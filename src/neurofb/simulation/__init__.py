"""A head, a headset and their faults, seeded and bit-reproducible, with the ground truth beside them.

``head`` makes the signals, ``headset`` spoils them as consumer devices do, ``learner`` answers feedback,
``source`` is the whole on a manual clock, ``outlet`` the whole as an LSL stream.
"""
