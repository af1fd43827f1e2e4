"""Sources of samples: live streams, recordings, and the index and time of each sample.

``source`` is the contract of every source; ``live`` is the one over LSL, ``playback`` a recording that is played.
``sample_indexing`` gives each sample its place and finds what is missing, with ``gap_detection`` for what is late;
``sample_clock`` turns jittered stamps into a smooth clock; ``stream_health`` says whether samples come.
"""
