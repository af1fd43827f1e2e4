"""The commands: one file for each, which declares it for click and does what it asks.

`cli` imports a file when its command is called or its help is asked for, so what takes time to import is imported in
the functions that need it. ``options`` are shared by several commands, ``tables`` print rows.
"""
