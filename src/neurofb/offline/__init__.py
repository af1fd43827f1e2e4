"""What happens after a session: the same again (``rerun``), for MNE, as BIDS, as a report. MNE is at home here.

Nothing but the command line imports this room.
"""
