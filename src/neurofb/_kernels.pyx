"""Every per-sample loop."""
CHECKED = False
