"""Keys: what their files may be, and that the engine's is nowhere to be read."""

import os
import subprocess
import sys

import pytest

from neurofb.blinding.keys import ENGINE_KEY, engine_key, make_keys, read_private_key, read_public_key
from neurofb.errors import WrongFile, WrongInput


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_keys("engine", tmp_path_factory.mktemp("keys"))


def secret_of(path):
    return path.read_text().split()[-1]


def test_keys_are_made_once_and_readable_by_their_owner(pair):
    private, public = pair
    assert private.stat().st_mode & 0o777 == 0o600
    assert read_private_key(private).public == read_public_key(public)
    with pytest.raises(WrongInput, match="exists and is not overwritten"):
        make_keys("engine", private.parent)
    with pytest.raises(WrongInput, match="is no name for keys"):
        make_keys("../x", private.parent)


def test_wrong_key_files_are_refused_in_words_without_their_content(pair, tmp_path):
    private, public = pair
    secret = secret_of(private)
    spoilt = secret[:-3] + "QQQ"
    cases = [
        (read_public_key, private, "holds a private key; expected: the public one"),
        (read_private_key, public, "holds no private key"),
        (read_private_key, (secret + "\n") * 2, "holds 2 private keys"),
        (read_private_key, spoilt, "wrong letter"),
        (read_public_key, public.read_text().strip()[:-3] + "qqq", "wrong letter"),
        (read_public_key, "", "holds no public key"),
        (read_private_key, tmp_path / "none", "cannot be read: No such file"),
    ]
    for read, given, words in cases:
        path = given
        if isinstance(given, str):
            path = tmp_path / "spoilt"
            path.write_text(given)
            path.chmod(0o600)
        with pytest.raises(WrongFile, match=words) as refused:
            read(path)
        assert secret[16:40] not in str(refused.value)
    path.with_name("open").write_text(secret)
    path.with_name("open").chmod(0o640)
    with pytest.raises(WrongFile, match="others may read"):
        read_private_key(path.with_name("open"))


def test_engine_needs_a_key(monkeypatch):
    monkeypatch.delenv(ENGINE_KEY, raising=False)
    monkeypatch.setattr("neurofb.blinding.keys._HELD.text", None)
    with pytest.raises(WrongInput, match="no key to open envelopes with; set NEUROFB_ENGINE_KEY"):
        engine_key()


@pytest.mark.parametrize("as_path", [False, True])
def test_engine_key_leaves_the_environment(pair, monkeypatch, as_path):
    value = str(pair[0]) if as_path else secret_of(pair[0])
    monkeypatch.setenv(ENGINE_KEY, value)
    monkeypatch.setattr("neurofb.blinding.keys._HELD.text", None)
    assert engine_key().public == read_public_key(pair[1])
    assert ENGINE_KEY not in os.environ
    assert engine_key().public == read_public_key(pair[1])  # it is held


def test_malformed_engine_key_is_not_shown(pair, monkeypatch):
    secret = secret_of(pair[0])
    monkeypatch.setenv(ENGINE_KEY, secret + "X")
    with pytest.raises(WrongInput, match="neither a private key nor the path") as refused:
        engine_key()
    assert secret[16:40] not in str(refused.value)
    monkeypatch.setattr("neurofb.blinding.keys._HELD.text", None)


#: What somebody on the computer can see of a program that has read its key, and what its child sees.
SEEN = """
import os, subprocess, sys, traceback
from pathlib import Path
from neurofb.blinding.keys import engine_key, take_engine_key
take_engine_key()
seen = Path("/proc/self/environ").read_bytes() if Path("/proc/self/environ").exists() else b""
seen += subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True).stdout
key = engine_key()
try:
    raise RuntimeError(f"{key!r}")
except RuntimeError:
    seen += traceback.format_exc().encode()
seen += repr(vars(sys.modules["neurofb.blinding.keys"])).encode()
import resource
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
sys.stdout.buffer.write(seen)
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no /proc")
def test_neither_proc_nor_children_nor_tracebacks_show_the_engine_key(pair):
    secret = secret_of(pair[0])
    shown = subprocess.run(
        [sys.executable, "-c", SEEN], env={**os.environ, ENGINE_KEY: secret}, capture_output=True, check=True
    )
    assert len(shown.stdout) > 100
    assert secret[16:30].encode() not in shown.stdout
    assert b"AGE-SECRET-KEY-1" + secret[16:18].encode() not in shown.stdout
    assert secret.encode() not in shown.stderr
