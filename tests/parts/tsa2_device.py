"""A TSA-2 that does not exist, byte by byte: a second reading of what is known about its serial interface.

It shares nothing with the driver: bytes arrive one by one, and a frame is taken when its length and checksum fit.
``truth`` is what its heaters really are. Time is handed to it.
"""

CHECK = []
for n in range(256):
    value = n
    for _ in range(8):
        value = (value * 2) % 256 ^ (0x07 if value >= 128 else 0)
    CHECK.append(value)


def check(data):
    found = 0
    for byte in data:
        found = CHECK[found ^ byte]
    return found


def two(celsius):
    return round(celsius * 100).to_bytes(2, "big", signed=True)


#: From so many °C, so many seconds: 0x8002.
TABLE = ((50.0, 5.0), (49.0, 10.0), (47.0, 60.0))


class Tsa2Device:
    """The device: ``feed`` what the computer sends, ``take`` what it answers, ``advance`` its time.

    ``heaters``: how many it has; ``layout``: 4, or 5 with two temperatures more.
    ``after``: what its state is after the last ramp: "holds" in the test, or "leaves" it.
    """

    def __init__(
        self,
        faults=(),
        late_s=0.05,
        abort_c_per_s=40.0,
        heaters=1,
        layout=4,
        after="holds",
        test_s=0.5,
        link_s=1e9,
    ):
        self.faults, self.late_s, self.abort_c_per_s = set(faults), late_s, abort_c_per_s
        self.layout, self.after, self.test_s, self.link_s = layout, after, test_s, link_s
        self.truth, self.coolers = [32.0] * heaters, [31.5]
        self.now_s = self.fed_s = 0.0
        self.state = 2
        self.ramps, self.running, self.error, self.health = [], None, 0, 0
        self.io = 0
        self.mode = "rest"
        self.enabled, self.active = set(), None
        self.came, self.out = bytearray(), bytearray()
        self.log, self.bytes_in = [], bytearray()
        self.until_s = 0.0
        self.hot_since_s = None

    @property
    def hottest_c(self):
        return max(self.truth) if self.truth else 32.0

    # What comes in.

    def feed(self, data):
        if "wrong baud" in self.faults:
            self.out += bytes([0xFF, 0x00, 0xE6]) * len(data)
            return
        if self.now_s - self.fed_s > 0.05:
            self.came.clear()  # a silence: whatever was half is gone
        self.fed_s = self.now_s
        self.bytes_in += data
        for byte in data:
            self.came.append(byte)
            self.see()

    def see(self):
        while len(self.came) >= 3:
            n = self.came[1] * 256 + self.came[2]
            if not 8 <= n <= 511:
                del self.came[0]
                continue
            if len(self.came) < 1 + n:
                return
            frame = bytes(self.came[: 1 + n])
            if check(frame[1:]) != frame[0]:
                del self.came[0]
                continue
            del self.came[: 1 + n]
            self.obey(frame[3], frame[4:8], frame[9:])

    def obey(self, command, token, data):
        self.log.append((command, data))
        if "dead" in self.faults or ("silent when hot" in self.faults and self.hottest_c > 40):
            return None
        name = {
            37: "version", 33: "status", 35: "errors", 41: "set_state", 83: "enable", 18: "set_active",
            28: "ramp", 22: "run", 25: "end", 27: "clear",
        }.get(command)  # fmt: skip
        if name is None:
            return self.say(command, token, 1)
        found = getattr(self, f"do_{name}")(data, token)
        ack, answer = found if isinstance(found, tuple) else (found or 0, b"")
        return self.say(command, token, ack, answer)

    def say(self, command, token, ack, data=b""):
        body = bytes([command]) + token + b"\x00" + bytes([ack]) + data
        body = (len(body) + 2).to_bytes(2, "big") + body
        answer = bytearray(bytes([check(body)]) + body)
        hot = self.hottest_c > 40
        if "bad crc" in self.faults and hot:
            answer[0] ^= 0x55
        if "late echo" in self.faults and hot:
            answer[7] ^= 0x01
            answer[0] = check(answer[1:])
        if "cut answers" in self.faults and self.running is not None:
            answer = answer[: len(answer) // 2]
        if "doubled answers" in self.faults:
            answer += b"\x0a\x0d" + answer
        self.out += answer

    def do_version(self, data, token):
        return 0, bytes([11]) + b"VSA 2.0.0.7"

    def do_errors(self, data, token):
        if not self.error:
            return 0, b"\x00"
        return 0, b"\x01" + self.error.to_bytes(2, "big") + bytes(15)

    def do_enable(self, data, token):
        if "no thermode" in self.faults:
            return 5
        self.enabled.add(data[0])
        return 0

    def do_set_active(self, data, token):
        self.active = data[0]
        return 0

    def do_set_state(self, data, token):
        wanted, tests = data
        if wanted == 0:
            self.go_safe()
            return 0
        if wanted == 2 and tests:
            if "emergency" in self.faults:
                return 4
            self.state, self.until_s = 1, self.now_s + self.test_s
            return 0
        if self.state in (0, 1) or (wanted == 3 and self.state not in (2, 3)):
            return 4
        self.state = wanted
        return 0

    def do_clear(self, data, token):
        if self.state == 4:
            return 4
        self.ramps.clear()
        return 0

    def do_ramp(self, data, token):
        if self.state != 3:
            return 4
        if len(data) != 9 or data[6] & 0x10:
            return 3
        if len(self.ramps) >= 20:
            return 7
        target_c = int.from_bytes(data[:2], "big", signed=True) / 100
        self.ramps.append((target_c, int.from_bytes(data[2:6], "big") / 1000, data[7], token))
        return 0

    def do_run(self, data, token):
        if self.state != 3 or not self.ramps:
            return 4
        self.state, self.mode = 4, "ramp"
        self.running = (*self.ramps.pop(0), self.now_s + self.late_s, None)
        return 0

    def do_end(self, data, token):
        if self.state not in (4, 5):
            return 4
        if "goes on after abort" in self.faults:
            return 0
        if "abort swallowed" in self.faults:
            self.faults.discard("abort swallowed")
            return 0
        self.state, self.running = 3, None
        if "end does not cool" in self.faults:
            self.mode = "stays"
        else:
            self.mode = "cools"
        return 0

    def go_safe(self):
        self.state, self.running, self.mode = 0, None, "cools"
        self.ramps.clear()

    # What goes out.

    def shown(self, i):
        if "probe unplugged" in self.faults and self.hottest_c > 40:
            return 80.0
        if "zones apart" in self.faults and i == 0 and self.hottest_c > 40:
            return self.truth[i] - 3.0
        return self.truth[i]

    def do_status(self, data, token):
        status = self.state + (0x40 if self.error else 0)
        now = round(self.now_s * 1000).to_bytes(4, "big")
        running = self.running[3] if self.running else bytes(4)
        n = len(self.truth)
        body = now + bytes(4) + running + bytes([status, 0, self.io, 20, 20])
        body += bytes([n]) + b"".join(two(self.shown(i)) for i in range(n))
        body += bytes([len(self.coolers)]) + b"".join(two(each) for each in self.coolers)
        body += two(22.0) + two(38.0) + bytes([0x80, self.layout])
        if self.layout == 5:
            body += two(self.hottest_c) + two(30.0)
        body += bytes([0, 0, 1]) + two(31.0) + two(22.0) + bytes([1]) + bytes(13) + bytes([0])
        body += bytes(8) + bytes([20, 20]) + self.health.to_bytes(2, "big") + b"\x00"
        return 0, body

    def take(self):
        data, self.out = bytes(self.out), bytearray()
        return data

    # What goes on.

    def fail(self, error, safe=True):
        self.error = error
        if safe:
            self.go_safe()

    def press_emergency(self):
        self.health |= 512
        self.fail(0x8019)

    def advance(self, now_s):
        while self.now_s < now_s - 1e-12:
            is_at_rest = self.running is None and all(each == 32.0 for each in self.truth) and self.state != 1
            dt_s = now_s - self.now_s if is_at_rest else min(0.005, now_s - self.now_s)
            self.now_s += dt_s
            self.move(dt_s)

    def move(self, dt_s):
        if self.state == 1 and self.now_s >= self.until_s:
            self.state = 2
        if self.state in (2, 3, 4) and self.now_s - self.fed_s > self.link_s:
            self.fail(0x800C)
        hot = self.hottest_c > 43
        if "overheat error when hot" in self.faults and hot and not self.error:
            self.fail(0x8001)
        if "warning when hot" in self.faults and hot:
            self.error = 0x2003
        if "emergency when hot" in self.faults and hot and not self.error:
            self.press_emergency()
        if "water low when hot" in self.faults and hot:
            self.health = 1024
        if "resets when hot" in self.faults and hot:
            self.faults.discard("resets when hot")
            self.go_safe()
            self.error = 0x2004
        limit = next((s for c, s in TABLE if self.hottest_c >= c), None)
        if limit is None:
            self.hot_since_s = None
        elif self.hot_since_s is None:
            self.hot_since_s = self.now_s
        elif self.now_s - self.hot_since_s > limit + 0.01 and self.running:
            self.fail(0x8002)
        if self.running is not None:
            self.run_ramp(dt_s)
        elif self.mode == "cools":
            self.towards(32.0, self.abort_c_per_s * dt_s)

    def run_ramp(self, dt_s):
        target_c, lasts_s, stops, _token, began_s, from_c = self.running
        if self.now_s < began_s:
            return
        if from_c is None:
            from_c = self.hottest_c
            self.running = (*self.running[:5], from_c)
        if self.io & stops and "button starts the next" not in self.faults:
            self.do_end(b"", b"")
            return
        share = min(1.0, (self.now_s - began_s) / lasts_s)
        extra_c = 3.0 if "hotter than told" in self.faults and target_c > 35 else 0.0
        goal_c = from_c + (target_c + extra_c - from_c) * share
        limit_c = 70.0 * dt_s
        if "overheated" in self.faults and goal_c > self.hottest_c:
            limit_c = 2.0 * dt_s
        self.towards(goal_c, limit_c)
        if share >= 1.0 or (self.io & stops):
            if self.ramps:
                self.running = (*self.ramps.pop(0), began_s + lasts_s, None)
            elif self.after == "leaves":
                self.state, self.running, self.mode = 3, None, "cools"

    def towards(self, goal_c, most_c):
        for i, each in enumerate(self.truth):
            if "stuck zone" in self.faults and i == len(self.truth) - 1 and each > 41:
                continue
            self.truth[i] += max(-most_c, min(most_c, goal_c - each))
