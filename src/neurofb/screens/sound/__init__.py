"""The sound of a session: a process of its own, its soundscape and its player."""
