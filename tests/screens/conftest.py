"""What tests of the screens share: no window is shown."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

WITHOUT_QT = "the screens need Qt: pip install 'neurofb[screens]'"
