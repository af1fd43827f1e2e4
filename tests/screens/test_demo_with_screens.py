"""A whole demonstration with both screens: one is frozen, one is killed, heat is stopped by a key.

Takes a minute and a half: runs where NEUROFB_LONG is set.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")


from neurofb.screens.start import sessions_seen

pytestmark = [
    pytest.mark.skipif(not os.environ.get("NEUROFB_LONG"), reason="takes long; set NEUROFB_LONG=1"),
    pytest.mark.timeout(300),
]
FROZEN_S = 10.0


def opened(kind, uid, environment):
    command = [sys.executable, "-m", "neurofb.screens", kind, "--session", uid, "--window"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_demo_continues_without_screens_and_stops_by_key(display, tmp_path):
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    session = subprocess.Popen(
        [sys.executable, "-m", "neurofb", "demo", "--headless", "--out", str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    screens = {}
    try:
        uid = next(uid for _ in range(20) for uid in sessions_seen(None, 1.0))
        screens = {kind: opened(kind, uid, environment) for kind in ("participant", "operator")}
        lines = []
        for line in session.stdout:
            lines.append(line)
            if "rest_baseline" in line:
                time.sleep(3.0)  # the screens draw by now
                screens["operator"].send_signal(signal.SIGSTOP)
                screens["participant"].kill()
                screens["participant"].wait(timeout=10)
                screens["participant"] = opened("participant", uid, environment)
                time.sleep(FROZEN_S)  # what is tested is a frozen screen
                screens["operator"].send_signal(signal.SIGCONT)
            if "heat_fired" in line:
                # Without a window manager, keys go to the window below the pointer: the newest lies on top.
                subprocess.run(
                    ["xdotool", "mousemove", "200", "200", "key", "Escape"], env=environment, check=True
                )
        code = session.wait(timeout=30)
        told = "".join(lines)
        assert "stop" in told, told
        assert "participant" in told, told
        assert code in (0, 4), told
        assert all(screen.poll() is None for screen in screens.values()), "a screen ended by itself"
        (folder,) = tmp_path.glob("sourcedata/neurofb/*")
        check = subprocess.run(
            [sys.executable, "-m", "neurofb", "rerun", "--check", str(folder)], capture_output=True, text=True
        )
        assert check.returncode == 0, json.dumps([check.stdout, check.stderr])
    finally:
        for process in (*screens.values(), session):
            process.kill()
            process.communicate(timeout=10)
