"""A TCS II that does not exist, byte by byte: a second reading of what is known about its protocol.

It shares nothing with the driver: each character that arrives changes a state, as in a small controller. ``truth`` is
what its zones really are. Time is handed to it.
"""

import contextlib
import math
import os
import threading
import time

#: Digits that follow each command.
DIGITS = {
    "N": 3, "S": 5, "C": 4, "V": 5, "R": 5, "D": 6, "T": 6, "Y": 4, "I": 1,
    "H": 0, "?": 0, "L": 0, "A": 0, "F": 0, "E": 0, "K": 0, "B": 0, "Q": 0, "P": 0, "G": 0,
    "Oa": 0, "Ob": 0, "Oc": 0, "Od": 0, "Oe": 0, "Og": 0, "Om": 3, "Oo": 0,
}  # fmt: skip
NEW = {"Ol": 0, "Ose": 0, "Osd": 0}
HELP_OLD = "L: start\rA: abort\rDsxxxxx: duration\rOs: allow trigger in\rOmxxx: maximum\r"
HELP_NEW = "L: start\rOl: start, stop by button\rDsxxxxx: duration\rOse: trigger in\rOsd: none\rOmxxx: max\r"


class TcsDevice:
    """The device: ``feed`` what the computer sends, ``take`` what it answers, ``advance`` its time.

    ``firmware``: "old" (1 ms between characters, four digits of duration, blanks), "v12", "v16".
    ``faults``: a set of words, read when they matter.
    """

    def __init__(self, firmware="v16", faults=(), abort_c_per_s=40.0, late_s=0.05):
        self.firmware, self.faults = firmware, set(faults)
        self.abort_c_per_s, self.late_s = abort_c_per_s, late_s
        self.digits = dict(DIGITS)
        if firmware == "old":
            self.digits["D"] = 5
        if firmware == "v16":
            self.digits |= NEW
        else:
            self.digits["Os"] = 0
        self.now_s = 0.0
        self.fed_s = -1.0
        self.word, self.rest = "", None
        self.out = bytearray()
        self.log = bytearray()
        self.pressed = [False, False]
        self.battery, self.errors = 87, "000000"
        self.reset()

    def reset(self):
        self.neutral, self.on, self.cap = 32.0, [False] * 5, 60.0
        self.target, self.rise, self.fall, self.lasts = [32.0] * 5, [30.0] * 5, [30.0] * 5, [1.0] * 5
        self.truth = getattr(self, "truth", [32.0] * 5)
        self.began_s, self.by_button, self.aborting = None, False, False
        self.streams, self.streamed_s = True, self.now_s
        self.trigger_in = True
        self.gone = "dead" in self.faults

    @property
    def hottest_c(self):
        return max(self.truth)

    # What comes in.

    def feed(self, data):
        for i, byte in enumerate(data):
            at_s = self.now_s + (i + 1) * 10 / 115200
            if self.firmware == "old" and at_s - self.fed_s < 0.00099:
                continue  # too fast: lost
            self.fed_s = at_s
            self.log.append(byte)
            self.character(chr(byte))

    def character(self, letter):
        if self.rest is not None:  # digits are missing: whatever comes is one
            self.rest += letter
            if len(self.rest) == self.digits[self.word]:
                word, rest, self.word, self.rest = self.word, self.rest, "", None
                self.obey(word, rest)
            return
        self.word += letter
        if self.word in self.digits:
            if self.digits[self.word]:
                self.rest = ""
            else:
                word, self.word = self.word, ""
                self.obey(word, "")
        elif not any(each.startswith(self.word) for each in self.digits):
            self.word = ""

    def obey(self, word, rest):
        if self.gone:
            return
        if rest and not rest.isdigit():
            return  # half a command and something else
        name = {"?": "ask"}.get(word, word)
        action = getattr(self, f"do_{name}", None)
        if action is not None:
            action(*([rest] if rest else []))

    def do_N(self, rest):
        self.neutral = int(rest) / 10

    def do_S(self, rest):
        self.on = [each == "1" for each in rest]

    def _zones(self, rest):
        return range(5) if rest[0] == "0" else [int(rest[0]) - 1]

    def do_C(self, rest):
        for i in self._zones(rest):
            self.target[i] = min(int(rest[1:]) / 10, 99.0 if "cap ignored" in self.faults else self.cap)

    def do_V(self, rest):
        for i in self._zones(rest):
            self.rise[i] = int(rest[1:]) / 10

    def do_R(self, rest):
        for i in self._zones(rest):
            self.fall[i] = int(rest[1:]) / 10

    def do_D(self, rest):
        for i in self._zones(rest):
            self.lasts[i] = int(rest[1:]) / 1000

    def do_Om(self, rest):
        self.cap = int(rest) / 10

    def do_L(self):
        self.began_s, self.by_button, self.aborting = self.now_s + self.late_s, False, False

    def do_Ol(self):
        self.do_L()
        self.by_button = True

    def do_A(self):
        if "deaf to abort" in self.faults:
            return
        if "swallows the first aborts" in self.faults and self.now_s < self.swallow_until_s():
            return
        self.began_s, self.aborting = None, True

    def swallow_until_s(self):
        self._swallow_s = getattr(self, "_swallow_s", self.now_s + 0.12 if self.began_s is not None else -1.0)
        return self._swallow_s

    def do_Oc(self):
        self.reset()

    def do_F(self):
        self.streams = "never quiet" in self.faults

    def do_Oa(self):
        self.streams = True

    def do_Osd(self):
        self.trigger_in = False

    def do_Ose(self):
        self.trigger_in = True

    def do_Os(self):
        self.trigger_in = True

    # What goes out.

    def do_ask(self):
        self.say("\rTCS")

    def do_H(self):
        version = {"old": "008", "v12": "012", "v16": "16.1.2"}[self.firmware]
        help_text = HELP_NEW if self.firmware == "v16" else HELP_OLD
        if self.firmware == "old":
            help_text = help_text.replace("Dsxxxxx", "Dsxxxx")
        self.say(f"\rFirmware: {version}\rProbe ID: 01 02 03 04 05 06 07 08\rProbe TYPE: T03\r{help_text}\n")

    def shown(self, i):
        bias_c = 3.0 if "zones apart" in self.faults and i == 0 and self.hottest_c > 40 else 0.0
        if "probe unplugged" in self.faults and self.hottest_c > 40:
            return 66.0
        return self.truth[i] - bias_c

    def do_E(self):
        sign = " " if self.firmware == "old" else "+"
        self.say(
            f"\r{self.neutral * 10:03.0f}" + "".join(f"{sign}{self.shown(i) * 10:03.0f}" for i in range(5))
        )

    def do_K(self):
        self.say("\r" + "".join(str(int(each)) for each in self.pressed))

    def do_B(self):
        self.say(f"\r12.3456v {self.battery:03d}%")

    def do_Q(self):
        self.say(f"\r{self.errors}")

    def do_P(self):
        zones = "".join(
            f"C{self.target[i] * 10:03.0f} V{self.rise[i] * 10:04.0f} R{self.fall[i] * 10:04.0f} "
            f"D{self.lasts[i] * 1000:0{self.digits['D'] - 1}.0f}\r"
            for i in range(5)
        )
        on = "".join(str(int(each)) for each in self.on)
        self.say(f"\rN{self.neutral * 10:03.0f} T255300 I1 Y0000 S{on}\r{zones}")

    def say(self, text):
        data = text.encode()
        if "cut answers" in self.faults and self.began_s is not None:
            data = data[: len(data) // 2]
        if "doubled answers" in self.faults:
            data += b"\n" + data
        if not ("silent when hot" in self.faults and self.hottest_c > 40):
            self.out += data

    def take(self):
        data, self.out = bytes(self.out), bytearray()
        return data

    # What goes on.

    def advance(self, now_s):
        while self.now_s < now_s - 1e-12:
            is_at_rest = self.began_s is None and not self.streams and self.truth == [self.neutral] * 5
            dt_s = now_s - self.now_s if is_at_rest else min(0.005, now_s - self.now_s)
            self.now_s += dt_s
            self.move(dt_s)

    def move(self, dt_s):
        if self.by_button and self.began_s is not None and self.pressed[1]:
            self.do_A()
        if "resets when hot" in self.faults and self.hottest_c > 44:
            self.faults.discard("resets when hot")
            self.reset()
        for i in range(5):
            goal_c, rate = self.neutral, self.fall[i]
            if self.aborting:
                rate = self.abort_c_per_s
            elif self.began_s is not None and self.on[i] and 0 <= self.now_s - self.began_s < self.lasts[i]:
                goal_c, rate = self.target[i], self.rise[i]
                rate *= 0.3 if "overheated" in self.faults else 1.0
            if "stuck zone" in self.faults and i == 2 and self.truth[i] > 43:
                continue
            step_c = rate * dt_s
            self.truth[i] += max(-step_c, min(step_c, goal_c - self.truth[i]))
        is_hot = self.began_s is not None
        if self.streams and self.now_s - self.streamed_s >= (0.01 if is_hot else 1.0):
            self.streamed_s = self.now_s
            self.out += b"".join(b"+%03.0f" % (self.shown(i) * 10) for i in range(5)) + b"\n"


class MemoryPort:
    """A port to a device in this process, on a clock that tests move."""

    def __init__(self, clock, device, start_s=None):
        self.clock, self.device = clock, device
        self.start_s = clock.now_s() if start_s is None else start_s
        self.writes, self.is_closed, self.gone_s = [], False, math.inf

    def _go(self):
        from neurofb.errors import StimulatorMissing

        if self.clock.now_s() >= self.gone_s:
            raise StimulatorMissing("the cable is out")
        self.device.advance(self.clock.now_s() - self.start_s)

    def read(self):
        self._go()
        return self.device.take()

    def write(self, data):
        self._go()
        self.writes.append((self.clock.now_s(), data))
        self.device.feed(data)
        return len(data)

    def close(self):
        self.is_closed = True


class PtyDevice:
    """The same device behind a real pseudo-terminal, with a thread that moves it in real time."""

    def __init__(self, device):
        import pty
        import tty

        self.device = device
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.name = os.ttyname(theirs)
        self._theirs = theirs
        os.set_blocking(self._ours, False)
        self._over = threading.Event()
        self.hottest_c = 0.0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        began_s = time.monotonic()
        while not self._over.wait(0.001):
            self.device.advance(time.monotonic() - began_s)
            with contextlib.suppress(BlockingIOError):
                self.device.feed(os.read(self._ours, 4096))
            if data := self.device.take():
                os.write(self._ours, data)
            self.hottest_c = max(self.hottest_c, self.device.hottest_c)

    def close(self):
        self._over.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)
