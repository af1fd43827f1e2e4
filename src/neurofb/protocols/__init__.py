"""Protocols that come with neurofb, one TOML file each; `neurofb.protocol.design.load_protocol` reads them by name."""
