"""Recording of a session: written as it happens, readable wherever it broke off.

``folder`` makes the session's folder, ``writer`` brings XDF chunks to disk, ``sample_map`` holds where received samples
are on the sample grid, ``session_recording`` reads a session back, ``provenance`` lists the versions it ran with. The
file format itself is in ``neurofb.xdf``.
"""
