"""A Main Station that does not exist, with a thermode behind it: a second reading of what is known of its protocol.

It shares nothing with the driver: each connection gives it bytes one by one, and it says one answer and closes.
``truth_c`` is what the probe really is. Time is handed to it.
"""

import contextlib
import math
import select
import socket
import threading
import time

#: The programs that somebody has set up there: target, plateau, rise and return.
PROGRAMS = {
    18: (44.0, 3.0, 8.0, 8.0),
    19: (42.0, 10.0, 8.0, 8.0),
    20: (46.0, 3.0, 8.0, 8.0),
    21: (33.0, 1.0, 8.0, 8.0),
}
IDLE, READY, TEST = 0, 1, 2


class MainStationDevice:
    """The program and its device.

    ``length``: which form of a request's length it reads: "little", "big" or "any".
    ``pretest_s``: how long the pre-test takes; ``waits``: its state while it waits for a trigger.
    ``faults``: a set of words, read when they matter.
    """

    def __init__(
        self,
        length="any",
        faults=(),
        late_s=0.05,
        abort_c_per_s=40.0,
        pretest_s=0.0,
        waits=3,
        starts=1,
        programs=None,
    ):
        self.length, self.faults, self.late_s, self.abort_c_per_s = length, set(faults), late_s, abort_c_per_s
        self.pretest_s, self.waits, self.starts = pretest_s, waits, starts
        self.programs = dict(PROGRAMS if programs is None else programs)
        self.now_s = 0.0
        self.truth_c = 32.0
        self.system, self.test, self.result = READY, 0, 0
        self.program, self.n_starts, self.ready_s = None, 0, math.inf
        self.began_s, self.aborting = None, False
        self.yes = self.no = 0
        self.log = []  # (time, command, parameter)
        self.n_connections = 0
        self.frozen = None

    @property
    def hottest_c(self):
        return self.truth_c

    # Bytes.

    def request_in(self, data):
        """Return command and parameter of a whole request; None while bytes are missing; () if it makes no sense."""
        if len(data) < 9:
            return None
        little = data[0] + 256 * data[1] + 65536 * data[2] + 16777216 * data[3]
        big = data[3] + 256 * data[2] + 65536 * data[1] + 16777216 * data[0]
        n = {"little": little, "big": big, "any": little if little in (5, 9) else big}[self.length]
        if n not in (5, 9):
            return None  # it waits for millions of bytes
        if len(data) < 4 + n:
            return None
        parameter = None
        if n == 9:
            parameter = data[9] + 256 * data[10] + 65536 * data[11] + 16777216 * data[12]
        return data[8], parameter

    def answer(self, data, command, result):
        hundredths = round(self.shown_c() * 100)
        if hundredths < 0:
            hundredths += 65536
        text = b"" if result == 0 else b"not possible"
        body = bytes(data[4:8]) + bytes([command, self.system, self.test, result % 256, result // 256])
        body += bytes([0x39, 0x30, 0, 0])
        if "no temperature" not in self.faults:
            body += bytes([hundredths % 256, hundredths // 256, 0, self.yes, self.no, 0])
        body += text
        return bytes([len(body), 0, 0, 0]) + body

    def shown_c(self):
        if "frozen" in self.faults:
            return 32.0
        if "probe unplugged" in self.faults and self.truth_c > 40:
            return 66.0
        return self.truth_c

    # What it does.

    def obey(self, data):
        """Return the answer to a whole request, or None if it gives none."""
        command, parameter = self.request_in(data)
        self.log.append((self.now_s, command, parameter))
        if "silent when hot" in self.faults and self.truth_c > 40:
            return None
        if command == 0:
            return self.answer(data, command, self.status_result())
        if "safe mode" in self.faults:
            return None
        return self.answer(data, command, self.act(command, parameter))

    def status_result(self):
        for name in ("0x1000", "0x2000", "0x3000", "0x4000", "0x2800"):
            if f"{name} when hot" in self.faults and self.truth_c > 40:
                if name == "0x4000":
                    self.stop(aborting=True)
                    self.system = IDLE
                return int(name, 16)
        return 0

    def act(self, command, parameter):
        if command == 1:
            if self.system == TEST:
                return 2
            if parameter not in self.programs:
                return 1
            self.program, self.system, self.test, self.n_starts = self.programs[parameter], TEST, 0, 0
            return 0
        if command == 2:
            if self.system != TEST or self.test != 0 or self.now_s < self.ready_s < math.inf:
                return 2
            self.n_starts += 1
            if self.n_starts >= self.starts:
                self.ready_s = self.now_s + self.pretest_s
            return 0
        if command == 4:
            if self.test != self.waits:
                return 3
            if "trigger lost" not in self.faults:
                self.began_s, self.aborting = self.now_s + self.late_s, False
            return 0
        if command in (5, 6):
            if command == 6 and "abort swallowed" in self.faults and self.began_s is not None:
                self.faults.discard("abort swallowed")
                return 0
            if command == 6 and "goes on after abort" in self.faults and self.began_s is not None:
                return 0
            if self.system != TEST:
                return 2
            self.stop(aborting=True)
            self.system = READY
            return 0
        return 1

    def stop(self, aborting):
        self.began_s, self.aborting = None, aborting
        self.test, self.program, self.ready_s, self.n_starts = 0, None, math.inf, 0

    # What goes on.

    def advance(self, now_s):
        while self.now_s < now_s - 1e-12:
            at_rest = self.began_s is None and self.truth_c == 32.0
            dt_s = now_s - self.now_s if at_rest else min(0.005, now_s - self.now_s)
            self.now_s += dt_s
            self.move(dt_s)

    def move(self, dt_s):
        if self.system == TEST and self.test == 0 and self.now_s >= self.ready_s:
            self.test = self.waits
        goal_c, rate = 32.0, self.abort_c_per_s if self.aborting else 8.0
        if self.began_s is not None and self.now_s >= self.began_s:
            target_c, plateau_s, rise, fall = self.program
            target_c += 3.0 if "hotter than told" in self.faults else 0.0
            self.test = 1
            t_s = self.now_s - self.began_s
            lasts_s = (target_c - 32.0) / rise + plateau_s
            if t_s < lasts_s:
                goal_c, rate = target_c, rise * (0.3 if "overheated" in self.faults else 1.0)
            else:
                rate = fall
                if self.truth_c <= 32.0:
                    self.began_s, self.test = None, self.waits
        if "resets when hot" in self.faults and self.truth_c > 42:
            self.faults.discard("resets when hot")
            self.stop(aborting=True)
            self.system = IDLE
        if "stuck zone" in self.faults and self.truth_c > 41:
            return
        step_c = rate * dt_s
        self.truth_c += max(-step_c, min(step_c, goal_c - self.truth_c))


class MemoryExchange:
    """One connection to a device in this process."""

    def __init__(self, network, question):
        self.network, self.device = network, network.device
        self.over, self.came, self.question = "", b"", question
        device = self.device
        device.n_connections += 1
        self.opens_s = network.clock.now_s()
        if "stalls" in device.faults and device.n_connections % 50 == 0:
            self.opens_s += 1.0
        if "no listener" in device.faults or network.clock.now_s() >= network.gone_s:
            self.over = "Connection refused"
        self.pieces = None
        self.poll()

    def poll(self):
        now_s = self.network.clock.now_s()
        if self.over or now_s < self.opens_s:
            return self.came
        if now_s >= self.network.gone_s:
            self.over = "No route to host"
            return self.came
        self.device.advance(now_s - self.network.start_s)
        faults = self.device.faults
        if self.pieces is None:
            if "dead" in faults:
                return self.came
            if self.device.request_in(self.question) is None:
                return self.came
            self.network.asked.append((now_s, self.question))
            answer = self.device.obey(self.question)
            if self.network.noise is not None:
                answer = self.network.noise()
            if "late echo" in faults and answer is not None and self.device.truth_c > 40:
                answer = answer[:4] + bytes([1, 2, 3, 4]) + answer[8:]
            if "closes without answer" in faults:
                answer = b""
            if "half closed" in faults and self.device.truth_c > 40 and answer:
                answer = answer[:11]
            if "cut answers" in faults and self.device.began_s is not None and answer:
                answer = answer[: len(answer) // 2]
            if answer is None:
                self.pieces = []
                self.stays = True
                return self.came
            self.stays = False
            n = 8 if "in pieces" in faults else 4096
            self.pieces = [answer[i : i + n] for i in range(0, len(answer), n)]
        if self.pieces:
            self.came += self.pieces.pop(0)
        elif not self.stays:
            self.over = "the other side has closed the connection"
        return self.came

    def close(self):
        self.over = self.over or "closed here"


class MemoryNetwork:
    """A network to a device in this process, on a clock that tests move."""

    def __init__(self, clock, device):
        self.clock, self.device, self.start_s = clock, device, clock.now_s()
        self.gone_s, self.asked, self.noise, self.open = math.inf, [], None, []

    def __call__(self, question):
        self.open.append(MemoryExchange(self, question))
        return self.open[-1]


class TcpDevice:
    """The same device behind a real port of this computer, with a thread that moves it in real time."""

    def __init__(self, device):
        self.device, self.hottest_c = device, 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        began_s, open_now = time.monotonic(), {}
        while not self._over.is_set():
            readable, _, _ = select.select([self.listener, *open_now], [], [], 0.001)
            self.device.advance(time.monotonic() - began_s)
            self.hottest_c = max(self.hottest_c, self.device.hottest_c)
            for each in readable:
                if each is self.listener:
                    open_now[each.accept()[0]] = b""
                    continue
                data = b""
                with contextlib.suppress(OSError):
                    data = each.recv(4096)
                open_now[each] += data
                if not data or self.device.request_in(open_now[each]) is not None:
                    whole = open_now.pop(each)
                    with contextlib.suppress(OSError):
                        if data and (answer := self.device.obey(whole)):
                            each.sendall(answer)
                    each.close()
        for each in open_now:
            each.close()

    def close(self):
        self._over.set()
        self._thread.join()
        self.listener.close()
