"""Sealed allocation: keys, envelopes, lists, binding, unblinding, and how well a blinding held."""
