"""What is kept of a session: written as it happens, readable wherever it broke off.

``xdf`` encodes chunks, ``writer`` brings them to disk, ``folder`` finds a place that nothing stands at yet,
``placement`` says where received samples stand on their grid, ``reader`` reads any XDF
file, ``session_recording`` one of ours.
"""
