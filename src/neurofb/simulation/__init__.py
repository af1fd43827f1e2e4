"""A head, a headset and their faults, seeded and bit-reproducible, with the ground truth beside them.

The way of a sample: ``rhythms``, ``noise`` and ``artifacts`` (both kinds of bursts are ``pulses``) are mixed by
``head`` as ``scalp`` says; ``headset`` converts, packs, delays and loses it, as ``faults`` says, and logs it in
``arrivals``; ``source`` gives it to a pipeline on a manual clock, ``sender`` through ``outlet`` to LSL. ``learner``
turns feedback into a rhythm's gain.
"""
