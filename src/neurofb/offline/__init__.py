"""After a session: re-run, sessions for MNE, BIDS export, report. MNE is at home here.

Nothing but the command line imports this room.
"""
