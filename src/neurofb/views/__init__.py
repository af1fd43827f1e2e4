"""Models of every front end (window, terminal), as plain data made from a session's streams. No Qt."""
