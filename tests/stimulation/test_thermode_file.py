"""What a thermode's file says, in words and for the guard; and its port."""

import sys
from types import SimpleNamespace

import pytest
from stimulation_parts import thermode_text

from neurofb.errors import StimulatorMissing, WrongFile, WrongInput
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.drivers.serial_port import SerialPort, open_port
from neurofb.stimulation.thermode_file import Limits, ThermodeFile, is_thermode, load_thermode

LEAST = {
    "max_c": 50.0,
    "rise_c_per_s": 20.0,
    "return_c_per_s": 10.0,
    "abort_c_per_s": 40.0,
    "lag_s": 0.1,
    "on_silence": "finishes",
}


@pytest.fixture
def tcs(tmp_path):
    """Give a function that reads a thermode's file, changed by its text."""

    def give(*changes):
        text = thermode_text("tcs2")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after, 1)
        path = tmp_path / "tcs.toml"
        path.write_text(text, "utf-8")
        return load_thermode(path)

    return give


def test_limits_that_are_left_out_are_none():
    needed = {name for name, field in Limits.model_fields.items() if field.is_required()}
    limits = Limits(**{name: LEAST[name] for name in LEAST if name in Limits.model_fields})
    assert needed <= set(LEAST)
    lowers = limits.lowers
    assert lowers is False
    expected = Capabilities("x", **LEAST, lowers=False)
    assert limits.capabilities("x") == expected


def test_file_does_not_change_and_takes_five_zones_at_most(tcs):
    file = tcs()
    with pytest.raises(ValueError, match="frozen"):
        file.name = "another"
    with pytest.raises(WrongFile, match="valid integer"):
        tcs(("zones = [1, 2, 3, 4, 5]", "zones = [1.0]"))
    with pytest.raises(WrongFile, match="less than or equal to 5|5"):
        tcs(("zones = [1, 2, 3, 4, 5]", "zones = [1, 6]"))


def test_driver_counts_as_never_tried_unless_the_file_says_otherwise():
    assert ThermodeFile.model_fields["experimental"].default is True


def test_facts_that_are_assumed_are_listed(tcs):
    file = tcs()
    assert file.assumed
    for fact, text in file.sources.items():
        assert (fact in file.assumed) == ("assumed" in text.casefold())
    assert set(file.assumed) < set(file.sources)


@pytest.mark.parametrize(
    "link, where",
    [
        ({"host": "10.0.0.2", "tcp_port": 4000, "port": None}, "10.0.0.2:4000"),
        ({"host": "10.0.0.2", "tcp_port": None, "port": "COM3"}, "10.0.0.2:its usual port"),
        ({"host": None, "port": "COM3"}, "COM3"),
        ({"host": None, "port": None}, "nowhere: [link] has neither port nor host"),
    ],
)
def test_device_is_where_its_link_says(tcs, link, where):
    file = tcs()
    assert file.model_copy(update={"link": file.link.model_copy(update=link)}).where == where


@pytest.mark.parametrize("silence_s, words", [(0.5, "0.5 s after"), (None, "inf s after")])
def test_device_that_returns_says_when(tcs, silence_s, words):
    file = tcs()
    limits = file.limits.model_copy(update={"on_silence": "returns", "silence_s": silence_s})
    assert words in file.model_copy(update={"limits": limits}).outlives()


def test_name_or_file_of_a_thermode_is_known_as_one(tmp_path):
    assert is_thermode("tcs-ii") is True
    assert is_thermode("tcs-iii") is False
    path = tmp_path / "mine.toml"
    assert is_thermode(str(path)) is False
    for text, is_one in (
        (thermode_text("tcs2"), True),
        ('kind = "tcs2"\n', False),
        ("[limits]\nmax_c = 50.0\n", False),
        ('title = "a protocol"\n', False),
    ):
        path.write_text(text, "utf-8")
        assert is_thermode(str(path)) is is_one, text
    other = tmp_path / "mine.txt"
    other.write_text(thermode_text("tcs2"), "utf-8")
    assert is_thermode(str(other)) is False
    assert is_thermode(str(tmp_path)) is False


# Its port, with a stand-in for pyserial.


class SerialException(Exception):
    """As pyserial's."""


class Serial:
    """A port that takes and gives what it is told to, until it is broken."""

    def __init__(self, name, baud, **how):
        if name == "COM99":
            raise ValueError("no such port")
        self.opened, self.coming, self.sent, self.takes = (name, baud, how), b"", b"", 100
        self.broken, self.is_closed = None, False

    def read(self, n):
        if self.broken:
            raise self.broken
        assert n >= 1024
        found, self.coming = self.coming, b""
        return found

    def write(self, data):
        if self.broken:
            raise self.broken
        self.sent += data[: self.takes]
        return self.takes and min(self.takes, len(data))

    def close(self):
        self.is_closed = True


@pytest.fixture
def serial(monkeypatch):
    made = []

    def open_serial(*what, **how):
        made.append(Serial(*what, **how))
        return made[-1]

    stand_in = SimpleNamespace(Serial=open_serial, SerialException=SerialException)
    monkeypatch.setitem(sys.modules, "serial", stand_in)
    return made


def test_port_neither_waits_nor_is_shared(serial, tcs):
    open_port(tcs(('port = "', 'port = "COM3"  # "')))
    name, baud, how = serial[0].opened
    assert (name, baud) == ("COM3", 115200)
    assert how == {"timeout": 0, "write_timeout": 0, "exclusive": True}


def test_port_passes_bytes_both_ways_and_is_let_go(serial):
    port = SerialPort("COM3", 115200)
    serial[0].coming = b"abc"
    assert (port.read(), port.read()) == (b"abc", b"")
    serial[0].takes = 2
    assert port.write(b"xyz") == 2
    serial[0].takes = None
    assert port.write(b"z") == 0
    port.close()
    assert serial[0].is_closed


@pytest.mark.parametrize("error", [SerialException("unplugged"), OSError("unplugged")])
def test_port_that_is_gone_says_which(serial, error):
    port = SerialPort("COM3", 115200)
    serial[0].broken = error
    words = r"the thermode's port COM3 is gone \(unplugged\); look at its cable and power"
    with pytest.raises(StimulatorMissing, match=words):
        port.read()
    with pytest.raises(StimulatorMissing, match=words):
        port.write(b"L")


def test_port_that_cannot_be_opened_says_why(serial):
    with pytest.raises(StimulatorMissing, match=r"port COM99 cannot be opened \(no such port\)"):
        SerialPort("COM99", 115200)


def test_pyserial_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(StimulatorMissing, match=r"needs pyserial, .*pip install 'neurofb\[thermode\]'"):
        SerialPort("COM3", 115200)


@pytest.mark.parametrize("missing", [{"port": None}, {"baud": None}, {"port": None, "baud": None}])
def test_file_without_a_port_or_its_speed_is_refused(tcs, missing):
    file = tcs()
    with pytest.raises(WrongInput, match=r"\[link\] needs port and baud"):
        open_port(file.model_copy(update={"link": file.link.model_copy(update=missing)}))
