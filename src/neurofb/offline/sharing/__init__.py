"""Copies of sessions that others may have: without what names a computer, a device or a day."""
