"""Channels to regions: montage, references, spatial filters."""
