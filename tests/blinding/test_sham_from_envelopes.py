"""A study with a sham as a lab runs it: allocated, with a pool of donors, by the options of ``neurofb run``."""

import json
from dataclasses import replace

import pytest
from blinded_parts import noise_pool, short_protocol
from blinding_parts import made_keys, study_text
from session_parts import run

from neurofb.blinding.donors import pool_bytes
from neurofb.blinding.envelope_folder import SLOTS, allocate, open_list, read_bindings
from neurofb.blinding.keys import read_private_key
from neurofb.blinding.side_file import SIDE_FILE
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import WrongFile, WrongInput
from neurofb.offline.blinded import check_blinded, unlock
from neurofb.recording.provenance import text_hash
from neurofb.recording.session_recording import open_session_recording


class Lab:
    """Protocol, pool, keys and envelopes of a study."""

    def __init__(self, folder):
        self.folder, self.envelopes, self.pool = folder, folder / "envelopes", folder / "donors.npz"
        self.protocol = short_protocol(folder)
        made = noise_pool(self.protocol)
        self.pool.write_bytes(pool_bytes(made))
        keys = made_keys(folder)
        text = study_text(
            'method = "blocks"\nblock_sizes = [2]\nslots = 2',
            "",
            arms=(("real", 1), ("yoked", 1)),
            sha256=text_hash(self.protocol.read_text()),
        )
        text = f'donor_pool_sha256 = "{made.sha256}"\n{text}'
        (folder / "study.toml").write_text(text)
        allocate(folder / "study.toml", self.envelopes, keys)

    def words(self, **more):
        return {
            "protocol": str(self.protocol), "participant": "P01", "envelope": self.envelopes,
            "engine_key": self.folder / "engine.key", "donors": self.pool, **more,
        }  # fmt: skip

    def asked(self, **more):
        return Asked(device="simulated", data=self.folder / "data", simulate=True, **self.words(**more))

    def key(self, name):
        return read_private_key(self.folder / f"{name}.key")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_session_from_an_envelope_is_sealed_checked_by_the_engines_key_and_unlocked_by_the_statisticians(lab):
    ran = run(lab.folder / "data", **lab.words())
    assert ran.outcome.kind == "finished"
    folder = ran.folder
    assert (folder / SIDE_FILE).exists()
    assert json.loads((folder / "session.json").read_text())["envelope"]["slot"] == 1
    recording = open_session_recording(folder)
    assert recording.is_sealed
    from neurofb.blinding.donors import read_pool

    pool = read_pool(lab.pool)
    assert check_blinded(recording, lab.key("engine"), pool).is_equal
    _, slots = open_list(lab.envelopes, lab.key("statistician"))
    arm = next(slot.arm for slot in slots if slot.slot == 1)
    assert unlock(open_session_recording(folder), lab.key("statistician")).arm == arm


def test_pool_is_needed_and_must_be_the_allocated_one_before_a_slot_is_bound(lab, tmp_path):
    other = tmp_path / "other.npz"
    other.write_bytes(pool_bytes(noise_pool(lab.protocol, tuple(f"E{i}" for i in range(12)))))
    for donors, words in (
        (None, "give it with --donors"),
        (other, "not the one that the study was allocated with"),
    ):
        with pytest.raises(WrongInput, match=words):
            plan_session(lab.asked(donors=donors))
    assert read_bindings(lab.envelopes) == []


def test_plan_of_an_opened_envelope_tells_no_arm(lab):
    for participant in ("P01", "P02"):
        plan = plan_session(lab.asked(participant=participant)).open_envelope()
        assert plan.delivery is not None
        assert plan.again({}).arm == plan.timeline.arm == "sealed"
        assert "yoked" not in f"{plan.timeline!r} {plan.blinded!r} {plan.opened!r} {plan.delivery!r}"


def test_allocation_without_public_keys_cannot_seal_a_session(lab):
    path = lab.envelopes / SLOTS
    document = json.loads(path.read_text())
    del document["public_keys"]
    path.write_text(json.dumps(document))
    with pytest.raises(WrongFile, match="names no public keys"):
        plan_session(lab.asked())
    assert read_bindings(lab.envelopes) == []


def test_sham_is_refused_for_real_participants_until_the_audit_has_passed(lab):
    asked = replace(lab.asked(), simulate=False, skin_account=lab.folder / "skin.jsonl")
    with pytest.raises(WrongInput, match="until the audit of 200 sessions"):
        plan_session(asked)
    assert read_bindings(lab.envelopes) == []
