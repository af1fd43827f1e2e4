"""Device profiles, one TOML file each; read by neurofb.devices."""
