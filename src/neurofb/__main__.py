"""``python -m neurofb`` is the command ``neurofb``."""

from neurofb.cli import main

main()
