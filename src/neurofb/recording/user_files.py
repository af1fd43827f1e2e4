"""Files that outlast every dataset: in the user's data folder, unless the environment names another place.

In: a name, an environment variable. Out: a path. Kept: nothing.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_file(name: str, environment: str) -> Path:
    """Return the file that the environment names, or the one of this name in the user's data folder."""
    if named := os.environ.get(environment):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("neurofb", appauthor=False) / name
