"""The XDF file format: encoding, lazy reading, damage tolerance. Knows nothing of sessions."""
