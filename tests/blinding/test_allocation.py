"""Lists: balance of blocks, strata and ratio, how well the next arm can be guessed, and that seeds give them again."""

import itertools
import os

import numpy as np
import pytest
from blinding_parts import SITES, study_text

from neurofb.blinding.allocation import Draws, Person, draw_slots
from neurofb.blinding.study_file import StudyFile
from neurofb.config import parse_toml
from neurofb.errors import WrongFile, WrongInput

#: Many in `make test-long`.
N_LISTS = 10_000 if os.environ.get("NEUROFB_LONG") else 250


def study(*args, **words) -> StudyFile:
    return parse_toml(StudyFile, study_text(*args, **words), "study.toml")


def lists(of: StudyFile, n: int = N_LISTS) -> np.ndarray:
    """Return lists as rows of 0 and 1, drawn from seeds 0, 1, 2, …"""
    first = of.arms[0].id
    n_slots = of.allocation.slots
    return np.array(
        [[slot.arm == first for slot in draw_slots(of, f"{i:x}")[:n_slots]] for i in range(n)], dtype=int
    )


def guessed(drawn: np.ndarray) -> float:
    """Return how often somebody is right who knows all past arms and names the one that is behind."""
    ahead = np.cumsum(2 * drawn - 1, axis=1)
    before = np.hstack([np.zeros((len(drawn), 1), int), ahead[:, :-1]])
    right = np.where(before == 0, 0.5, (before < 0) == (drawn == 1))
    return float(right.mean())


@pytest.mark.parametrize(
    "method, expected",
    [
        ('method = "blocks"\nblock_sizes = [2]\nslots = 120', 0.75),
        ('method = "blocks"\nblock_sizes = [4]\nslots = 120', 17 / 24),
        ('method = "blocks"\nblock_sizes = [4, 6]\nslots = 120', 0.693),
        ('method = "blocks"\nblock_sizes = [4, 6, 8]\nslots = 120', 0.681),
        ('method = "simple"\nslots = 120', 0.5),
    ],
    ids=["2", "4", "4/6", "4/6/8", "simple"],
)
def test_next_arm_is_guessed_as_often_as_computed(method, expected):
    """By blocks of 2m: 1/2 + (2^(2m-1) / C(2m, m) - 1/2) / 2m of all; 250 x 120 people: standard error 0.3 %."""
    assert guessed(lists(study(method))) == pytest.approx(expected, abs=0.012 if N_LISTS < 1000 else 0.002)


def test_blocks_are_balanced_in_each_stratum():
    of = study('method = "blocks"\nblock_sizes = [6]\nslots = 12', SITES, arms=(("a", 2), ("b", 1)))
    firsts = []
    for seed in range(max(N_LISTS // 5, 50)):
        slots = draw_slots(of, f"{seed:x}")
        assert [slot.slot for slot in slots] == list(range(1, 49))
        assert list(dict.fromkeys(slot.stratum for slot in slots)) == of.all_strata
        for block in itertools.batched(slots, 6) if hasattr(itertools, "batched") else _sixes(slots):
            assert [slot.arm for slot in block].count("a") == 4
            assert len({slot.stratum for slot in block}) == 1
        firsts += [slots[i].arm == "a" for i in (0, 12, 24, 36)]
    assert np.mean(firsts) == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 9 / len(firsts)))


def _sixes(slots):
    return [slots[i : i + 6] for i in range(0, len(slots), 6)]


def test_drawn_block_sizes_are_all_used_and_blocks_completed():
    of = study('method = "blocks"\nblock_sizes = [4, 6]\nslots = 21')
    lengths = {len(draw_slots(of, f"{seed:x}")) for seed in range(60)}
    assert lengths == {22, 24, 26}
    for seed in range(60):
        arms = [slot.arm for slot in draw_slots(of, f"{seed:x}")]
        assert arms.count("trained") * 2 == len(arms)


def test_simple_lists_keep_the_ratio_on_average():
    drawn = lists(study('method = "simple"\nslots = 60', arms=(("a", 2), ("b", 1))), 200)
    assert drawn.mean() == pytest.approx(2 / 3, abs=0.02)


def test_places_of_a_block_are_equally_likely():
    """All six orders of a block of 4 with two arms; chi-square of 5 degrees of freedom below its 99.9 % point."""
    drawn = lists(study('method = "blocks"\nblock_sizes = [4]\nslots = 40'), 200).reshape(-1, 4)
    _, counts = np.unique(drawn @ [8, 4, 2, 1], return_counts=True)
    expected = len(drawn) / 6
    assert len(counts) == 6
    assert float(np.sum((counts - expected) ** 2 / expected)) < 20.5


def test_draws_are_even():
    draws = Draws("x", "even")
    counts = np.bincount([draws.below(10) for _ in range(10_000)], minlength=10)
    assert float(np.sum((counts - 1000) ** 2 / 1000)) < 27.9


PEOPLE = [Person(f"P{i:02d}", f"site={'AB'[i % 3 == 0]}/sex={'fm'[(i // 2) % 2]}") for i in range(60)]


@pytest.mark.parametrize("measure", ["range", "sd"])
def test_minimisation_balances_each_level_of_each_factor(measure):
    minimise = study(f'method = "minimise"\nimbalance = "{measure}"', SITES)
    simple = np.random.default_rng(0)
    worst, by_chance = [], []
    for seed in range(40):
        slots = draw_slots(minimise, f"{seed:x}", PEOPLE)
        assert [slot.participant for slot in slots] == [person.participant for person in PEOPLE]
        arms = np.array([slot.arm == "trained" for slot in slots])
        worst.append(_imbalance(arms))
        by_chance.append(_imbalance(simple.random(60) < 0.5))
    assert np.mean(worst) < 0.5 * np.mean(by_chance)


def _imbalance(arms):
    found = []
    for level in ("site=A", "site=B", "sex=f", "sex=m"):
        inside = arms[[level in person.stratum for person in PEOPLE]]
        found.append(abs(2 * inside.sum() - len(inside)))
    return max(found)


def test_biased_coin_has_its_probability():
    """The second person, alike the first, gets the other arm with probability p."""
    alike = [Person("P1", "site=A/sex=f"), Person("P2", "site=A/sex=f")]
    of = study('method = "minimise"\nbiased_coin = 0.8', SITES)
    other = [len({slot.arm for slot in draw_slots(of, f"{i:x}", alike)}) == 2 for i in range(2000)]
    assert np.mean(other) == pytest.approx(0.8, abs=0.03)
    sure = study('method = "minimise"\nbiased_coin = 1.0', SITES)
    assert all(len({s.arm for s in draw_slots(sure, f"{i:x}", alike)}) == 2 for i in range(50))


def test_later_batches_count_the_earlier_ones():
    of = study('method = "minimise"\nbiased_coin = 1.0', SITES)
    first = draw_slots(of, "1", PEOPLE[:31])
    second = draw_slots(of, "2", PEOPLE[31:32], first)
    together = [slot.arm for slot in (*first, *second)]
    assert second[0].slot == 32
    assert together.count("trained") == 16
    with pytest.raises(WrongInput, match="p00 stands there twice or has a slot"):
        draw_slots(of, "3", [Person("p00", "site=A/sex=f")], first)


def test_one_seed_gives_one_list_in_ten_years_too():
    """What these seeds gave when the rule was made: a change of rule would make old lists impossible to check."""
    of = study('method = "blocks"\nblock_sizes = [4, 6]\nslots = 8')
    slots = draw_slots(of, "00ff")
    assert "".join(slot.arm[0] for slot in slots) == "totoototot"
    assert slots[0].donor_seed == 442743631


WRONG = [
    ('method = "blocks"\nslots = 8', "", {}, "allocation.block_sizes: .*blocks need sizes"),
    ('method = "blocks"\nblock_sizes = [3]\nslots = 8', "", {}, "arms: .*multiples of 2"),
    ('method = "blocks"\nblock_sizes = [4]', "", {}, "allocation.slots: missing; how many people"),
    ('method = "simple"\nslots = 8\nblock_sizes = [4]', "", {}, "'simple' has no blocks"),
    ('method = "simple"\nslots = 8', SITES, {}, 'method "simple" has no strata'),
    ('method = "minimise"', "", {}, "minimise balances factors, and there are none"),
    ('method = "minimise"', SITES, {"arms": (("a", 2), ("b", 1))}, "minimise is for equal ratios"),
    ('method = "minimise"\nslots = 3', SITES, {}, "one slot for each person of --people; leave it out"),
    ('method = "dice"', "", {}, "allocation.method: found 'dice'"),
    ('method = "simple"\nslots = 8', "", {"arms": (("a", 1), ("a", 1))}, r"arms\[2\].id: it stands there before"),
    ('method = "simple"\nslots = 8', "", {"masked": '["everybody"]'}, "masked.* found 'everybody'"),
]  # fmt: skip


@pytest.mark.parametrize("allocation, strata, more, words", WRONG)
def test_wrong_studies_are_refused_in_words(allocation, strata, more, words):
    with pytest.raises(WrongFile, match=words):
        study(allocation, strata, **more)


def test_masked_operator_starts_one_protocol_for_all_arms():
    text = study_text().replace("a" * 64, "b" * 64, 1)
    with pytest.raises(WrongFile, match="who starts another protocol knows the arm"):
        parse_toml(StudyFile, text, "study.toml")
    text = text.replace('["participant", "operator"]', '["assessor"]')
    assert parse_toml(StudyFile, text, "study.toml").arm("other") is not None
