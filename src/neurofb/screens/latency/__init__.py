"""The latency test of screen and sound: marks, the patch that shows them, and the analysis."""
