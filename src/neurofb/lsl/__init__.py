"""Lab Streaming Layer: resolve, match, inlets, outlets, text streams, and the streams of a session."""
