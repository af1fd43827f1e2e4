"""Heat on the skin: what is asked of a stimulator, and the limits that no schedule, signal or command can pass."""
