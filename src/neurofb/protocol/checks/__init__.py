"""Everything that can be checked of a protocol before a session."""
