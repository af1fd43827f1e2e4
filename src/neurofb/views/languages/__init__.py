"""What the screens say, a TOML file for each language."""
