"""A session as BIDS: the EEG, its tables and its sidecars."""
