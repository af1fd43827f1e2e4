"""The experiment: a TOML file as frozen, checked data, and the timeline that a participant will get."""
