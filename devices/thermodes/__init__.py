"""Thermodes, one TOML file each; read by neurofb.stimulation.thermode_file."""
