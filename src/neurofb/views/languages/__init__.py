"""Texts of the screens, a TOML file for each language."""
