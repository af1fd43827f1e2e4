"""A session whose arm is in an envelope: who gets which slot, and that nothing tells the arm."""

import json
import os
from dataclasses import replace

import pytest
from blinding_parts import made_keys, study_text
from command_line import invoke
from report_parts import REST_ONLY
from session_parts import run

from neurofb.blinding.envelope_folder import LIST, allocate, open_list, read_bindings
from neurofb.blinding.envelopes import open_envelope
from neurofb.blinding.keys import ENGINE_KEY, read_private_key
from neurofb.blinding.side_file import ENVELOPE
from neurofb.cli import commands
from neurofb.engine.participant_questions import envelope_question
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import NeurofbError
from neurofb.offline.report.document import report_of
from neurofb.recording.provenance import text_hash

MASKED = '\n[blinding]\nmasked = ["participant", "operator"]\n'
#: Names that stand nowhere else, to be looked for.
ARMS = '\n[[arms]]\nid = "qverumq"\nlabel = "A"\n\n[[arms]]\nid = "qshamq"\nlabel = "B"\nfeedback = "none"\n'
TEXT = REST_ONLY.replace("duration_s = 12.0", "duration_s = 6.0") + ARMS + MASKED


class Site:
    """A folder with protocol, keys and envelopes."""

    def __init__(self, folder):
        self.folder, self.envelopes, self.data = folder, folder / "envelopes", folder / "data"
        self.protocol = folder / "p.toml"
        self.protocol.write_text(TEXT)
        keys = made_keys(folder)
        study = study_text(
            'method = "blocks"\nblock_sizes = [2]\nslots = 2',
            '\n[[strata]]\nname = "site"\nlevels = ["A", "B"]\n',
            arms=(("qverumq", 1), ("qshamq", 1)),
            sha256=text_hash(TEXT),
        )
        (folder / "study.toml").write_text(study)
        allocate(folder / "study.toml", self.envelopes, keys)

    def words(self, participant="P01", **more):
        return {
            "protocol": str(self.protocol),
            "participant": participant,
            "envelope": self.envelopes,
            "engine_key": self.folder / "engine.key",
            **more,
        }

    def asked(self, participant="P01", **more):
        return Asked(device="simulated", data=self.data, **self.words(participant, **more))

    def arms(self):
        _, slots = open_list(self.envelopes, read_private_key(self.folder / "statistician.key"))
        return {slot.slot: slot.arm for slot in slots}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site at which P01 and P02 had a session."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.ran = [
        run(made.data, **made.words("P01", stratum=("site=B",))),
        run(made.data, **made.words("P02", stratum=("site=B",))),
    ]
    return made


def test_participants_get_the_slots_of_their_stratum_and_keep_them(site):
    assert [(b.participant, b.slot, b.stratum) for b in read_bindings(site.envelopes)] == [
        ("P01", 3, "site=B"),
        ("P02", 4, "site=B"),
    ]
    arms, key = site.arms(), read_private_key(site.folder / "engine.key")
    for ran, slot in zip(site.ran, (3, 4), strict=True):
        folder = ran.assembled.folder.path
        document = json.loads((folder / "session.json").read_text())
        assert (document["envelope"]["slot"], document["envelope"]["stratum"]) == (slot, "site=B")
        assert open_envelope(folder / ENVELOPE, key).arm == arms[slot]


def test_each_session_has_the_arm_of_its_envelope(site):
    plan = plan_session(site.asked("P02")).open_envelope()
    assert plan.timeline.arm == site.arms()[4] == plan.opened.sealed.arm
    shown = repr(plan)  # protocol and study in it have both
    assert shown.count("qshamq") == shown.count("qverumq") == 2


def test_no_file_name_size_or_time_tells_the_arm(site):
    secret = (site.folder / "engine.key").read_text().split()[-1].encode()
    sizes = []
    for ran in site.ran:
        sizes.append((ran.assembled.folder.path / ENVELOPE).stat().st_size)
        for path in ran.assembled.folder.path.rglob("*"):
            content = path.read_bytes()
            assert secret[16:] not in content
            if path.name != "protocol.toml":  # has both
                assert b"qverumq" not in content, path.name
                assert b"qshamq" not in content, path.name
        for event in ran.assembled.session_log.__dict__.values():
            assert "qverumq" not in repr(event)
    assert len(set(sizes)) == 1
    for path in (site.envelopes / "bound").iterdir():
        assert b"q" not in path.read_bytes().replace(b"qshamq", b"q")
    assert b"qverumq" not in (site.envelopes / LIST).read_bytes()


def test_planning_binds_nothing_and_a_new_participant_is_asked_for(site):
    n_bound = len(read_bindings(site.envelopes))
    asked = replace(site.asked("P09", stratum=("site=A",)), skin_account=site.folder / "skin")
    plan = plan_session(asked)
    assert len(read_bindings(site.envelopes)) == n_bound
    question = envelope_question(plan.sealed_arm, plan.asked)
    assert question.refusal.startswith(
        "the code 'P09' has no envelope yet and gets slot 1 of site=A for good. Is it a new"
    )
    assert envelope_question(plan.sealed_arm, replace(asked, enrol=True)) is None
    assert (
        envelope_question(plan_session(replace(asked, participant="P01", stratum=())).sealed_arm, asked)
        is None
    )


REFUSED = [
    (
        {"envelope": None, "engine_key": None},
        "masks participant, operator, so nobody types or sees an arm: give the",
    ),
    ({"envelope": None, "engine_key": None, "arm": "qverumq"}, "so nobody types or sees an arm"),
    ({"arm": "qverumq"}, "the envelope says the arm; leave --arm out"),
    ({"envelope": None}, "--engine-key is for sealed arms"),
    ({"participant": "P09"}, "the level of 'site' is missing; one of A, B, as --stratum site=A"),
    ({"stratum": ("site=A",)}, "P01 has slot 3 of site=B, not of site=A"),
    ({"participant": "P09", "stratum": ("site=B",)}, "all 2 slots of site=B are taken"),
    ({"engine_key": None}, "the engine has no key to open envelopes with"),
]


@pytest.mark.parametrize("change, words", REFUSED)
def test_wrong_use_of_envelopes_is_refused_before_anything_is_bound(site, monkeypatch, change, words):
    monkeypatch.delenv(ENGINE_KEY, raising=False)
    monkeypatch.setattr("neurofb.blinding.keys._HELD.text", None)
    n_bound = len(read_bindings(site.envelopes))
    with pytest.raises(NeurofbError, match=words) as refused:
        plan_session(replace(site.asked(), skin_account=site.folder / "skin", **change))
    assert "qshamq" not in str(refused.value)
    assert len(read_bindings(site.envelopes)) == n_bound


def test_another_protocol_or_envelope_is_refused_in_the_same_words_for_each_arm(site, tmp_path):
    changed = tmp_path / "changed.toml"
    changed.write_text(TEXT + "# one line more\n")
    found = []
    for participant in ("P01", "P02"):
        with pytest.raises(NeurofbError, match="its text differs, if by one letter") as refused:
            plan_session(site.asked(participant, protocol=str(changed), simulate=True))
        found.append(str(refused.value))
    assert found[0] == found[1]
    path = site.envelopes / "slot-003.age"
    whole = path.read_bytes()
    os.chmod(path, 0o600)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(NeurofbError, match="cannot be opened: it was sealed for other keys"):
        plan_session(site.asked(simulate=True))
    path.write_bytes(whole)


def test_arms_need_a_declaration_with_real_participants(site, tmp_path):
    path = tmp_path / "p.toml"
    for text, words in (
        (TEXT.replace(MASKED, ""), r'does not say who must not know them.* or blinding = "open" at its top'),
        (TEXT.replace(MASKED, "").replace('neurofb = ">=0.1"', 'neurofb = ">=0.1"\nblinding = "open"'), None),
    ):
        path.write_text(text)
        asked = Asked(
            str(path), "simulated", "P01", arm="qverumq", data=tmp_path, skin_account=tmp_path / "skin"
        )
        if words is None:
            assert plan_session(asked).timeline.arm == "qverumq"
            continue
        with pytest.raises(NeurofbError, match=words):
            plan_session(asked)
        assert plan_session(replace(asked, simulate=True)).timeline.arm == "qverumq"


def test_unblinding_opens_one_envelope_and_leaves_a_record(site):
    words = [
        "unblind",
        "P01",
        "--envelope",
        site.envelopes,
        "--key",
        site.folder / "emergency.key",
        "--data",
        site.data,
    ]
    for given, refusal in (
        (["--first", "AB", "--second", "ab", "--reason", "x"], "needs two people"),
        (["--first", "AB", "--second", "CD", "--reason", " "], "needs a reason"),
    ):
        with pytest.raises(NeurofbError, match=refusal):
            invoke(commands, *words, *given)
    with pytest.raises(NeurofbError, match="no envelope was opened for 'P7'; .*P01"):
        invoke(commands, "unblind", "P7", *words[2:])
    people = ["--first", "AB", "--second", "CD", "--reason", "fainted"]
    shown = json.loads(invoke(commands, *words, *people, "--json").output)
    assert (shown["slot"], shown["arm"]) == (3, site.arms()[3])
    assert len(shown["noted_in"]) == 1
    assert not (site.ran[1].assembled.folder.path / "unblindings.json").exists()
    noted = (site.ran[0].assembled.folder.path / "unblindings.json").read_text()
    assert "fainted" in noted
    assert site.arms()[3] not in noted
    assert [path.name for path in (site.envelopes / "unblinded").iterdir()] == ["00001.json"]
    html = report_of(site.ran[0].assembled.folder.path).html
    assert "by AB and CD, not planned: fainted" in html
    events = []
    ran = run(site.data, on_event=events.append, **site.words("P01", session="2"))  # finds their slot again
    assert json.loads((ran.assembled.folder.path / "session.json").read_text())["envelope"]["slot"] == 3
    said = [event for event in events if event.kind == "unblinded"]
    assert len(said) == 1
    assert "AB and CD" in said[0].message
    assert site.arms()[3] not in said[0].to_json()
