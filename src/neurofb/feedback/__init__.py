"""What the number earns: baseline, threshold, mapping, hold.

Nothing here reads a clock or knows a screen. Values come in with their sample index; time is index over rate.
"""
