"""Envelopes: what they hold, who opens them, and that nothing outside tells them apart."""

import os
import shutil
import subprocess

import pytest

from neurofb.blinding.envelopes import (
    MTIME_S,
    PLAIN_BYTES,
    Sealed,
    decrypted,
    envelope_bytes,
    file_bytes,
    open_envelope,
    write_envelope,
)
from neurofb.blinding.keys import PrivateKey, make_keys, pyrage, read_private_key, read_public_key
from neurofb.errors import UnknownFile, WrongFile, WrongInput

STUDY = "5" * 64


def sealed(slot=1, arm="trained", **more):
    return Sealed(**{"study_sha256": STUDY, "slot": slot, "stratum": "site=A", "arm": arm, **more})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three pairs of keys in a folder, by name."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("statistician", "emergency", "engine", "stranger"):
        make_keys(name, folder)
    return folder


def publics(site):
    return [read_public_key(site / f"{name}.pub") for name in ("statistician", "emergency", "engine")]


def test_each_recipient_opens_an_envelope_alone_and_a_stranger_none(site, tmp_path):
    write_envelope(tmp_path, sealed(donor_seed=9), publics(site))
    path = tmp_path / "slot-001.age"
    for name in ("statistician", "emergency", "engine"):
        assert open_envelope(path, read_private_key(site / f"{name}.key")) == sealed(donor_seed=9)
    with pytest.raises(WrongFile, match=r"sealed for other keys than age1\w+, or was changed"):
        open_envelope(path, read_private_key(site / "stranger.key"))


def test_envelopes_of_different_arms_differ_in_no_size_time_mode_or_name(site, tmp_path):
    arms = ["a", "sham_yoked_to_other_participants", "b", "a"]
    for slot, arm in enumerate(arms, 1):
        write_envelope(tmp_path, sealed(slot, arm, donor_seed=slot), publics(site))
    found = [(p.name, p.stat()) for p in sorted(tmp_path.iterdir())]
    assert [name for name, _ in found] == [f"slot-00{n}.age" for n in (1, 2, 3, 4)]
    assert {(s.st_size, s.st_mtime, s.st_mode) for _, s in found} == {
        (file_bytes(3), float(MTIME_S), found[0][1].st_mode)
    }
    with pytest.raises(WrongInput, match="cannot be written"):
        write_envelope(tmp_path, sealed(1), publics(site))


def test_content_is_padded_to_one_length(site, tmp_path):
    key = read_private_key(site / "engine.key")
    for arm in ("a", "sham_yoked"):
        content = envelope_bytes(sealed(arm=arm), publics(site))
        assert len(decrypted(content, key, tmp_path)) == PLAIN_BYTES
    with pytest.raises(WrongInput, match="holds 512; give strata shorter names"):
        envelope_bytes(sealed(stratum="site=" + 600 * "x"), publics(site))


def test_one_flipped_bit_anywhere_is_refused(site, tmp_path):
    content = envelope_bytes(sealed(), publics(site))
    key = read_private_key(site / "statistician.key")
    path = tmp_path / "slot-001.age"
    for i in {*range(0, len(content), 9), *range(len(content) - 16, len(content))}:
        changed = bytearray(content)
        changed[i] ^= 1 << (i % 8)
        path.write_bytes(changed)
        with pytest.raises(WrongFile) as refused:
            open_envelope(path, key)
        assert "trained" not in str(refused.value)
        assert "\n" not in str(refused.value)
    for cut in (content[:-1], content + b"x", b"", content[:100]):
        path.write_bytes(cut)
        with pytest.raises(WrongFile):
            open_envelope(path, key)


def test_renamed_or_foreign_content_is_refused_in_words(site, tmp_path):
    key = read_private_key(site / "engine.key")
    write_envelope(tmp_path, sealed(1), publics(site))
    (tmp_path / "slot-001.age").rename(tmp_path / "slot-002.age")
    with pytest.raises(WrongFile, match="that of another slot"):
        open_envelope(tmp_path / "slot-002.age", key)
    recipients = [pyrage().x25519.Recipient.from_str(key.public)]
    for inside in (
        b"{}",
        b"{}".ljust(PLAIN_BYTES),
        b"[" * PLAIN_BYTES,
        b'{"v": 2}'.ljust(PLAIN_BYTES),
        b"[1]".ljust(512),
    ):
        (tmp_path / "slot-003.age").write_bytes(pyrage().encrypt(inside, recipients))
        with pytest.raises(WrongFile, match="holds no slot"):
            open_envelope(tmp_path / "slot-003.age", key)
    with pytest.raises(UnknownFile, match="no envelope"):
        open_envelope(tmp_path / "slot-009.age", key)


def test_representations_show_neither_arm_nor_key(site):
    key = read_private_key(site / "engine.key")
    secret = (site / "engine.key").read_text().split()[-1]
    for shown in (repr(sealed()), str(sealed()), repr(key), str(key), f"{key}", repr([key])):
        assert "trained" not in shown
        assert secret not in shown
        assert "AGE-SECRET" not in shown
    import pickle

    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    with pytest.raises(WrongInput) as refused:
        PrivateKey(secret[:-1] + ("Q" if secret[-1] != "Q" else "P"))
    assert secret[20:50] not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.skipif(shutil.which("age") is None, reason="the program age is not installed")
def test_the_program_age_opens_envelopes_and_its_keys_serve(site, tmp_path):
    write_envelope(tmp_path, sealed(17), publics(site))
    for name, code in (("statistician", 0), ("stranger", 1)):
        run = ["age", "-d", "-i", str(site / f"{name}.key"), str(tmp_path / "slot-017.age")]
        shown = subprocess.run(run, capture_output=True)
        assert (shown.returncode != 0) == code
    opened = subprocess.run([*run[:3], str(site / "emergency.key"), run[-1]], capture_output=True, check=True)
    assert b'"arm": "trained"' in opened.stdout
    made = tmp_path / "made.key"
    subprocess.run(["age-keygen", "-o", str(made)], capture_output=True, check=True)
    write_envelope(tmp_path, sealed(18), [read_private_key(made).public])
    assert open_envelope(tmp_path / "slot-018.age", read_private_key(made)).slot == 18


def test_ci_has_the_program_age():
    if os.environ.get("CI"):
        assert shutil.which("age")
