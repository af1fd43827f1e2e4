"""Checks of a protocol before a session."""
