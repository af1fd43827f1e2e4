"""The pool of donors: its file, what it must cover, who is drawn, and how gaps are filled."""

import hashlib

import numpy as np
import pytest
from sham_parts import NEEDS, TRAINING, donor, piece, pool, slow_noise

from neurofb.blinding.donors import (
    STEPS_PER_SD,
    Donor,
    DonorPool,
    Filler,
    parsed_pool,
    patched,
    pool_bytes,
    pool_problems,
    read_pool,
    success_rate,
    write_pool,
)
from neurofb.errors import UnknownFile, WrongFile, WrongInput


def problems(made, needs=NEEDS, training=TRAINING):
    return list(pool_problems(made, needs, training))


def test_pool_file_gives_the_pool_back_and_the_same_bytes(tmp_path):
    made = pool()
    sha256 = write_pool(made, tmp_path / "pool.npz")
    read = read_pool(tmp_path / "pool.npz")
    assert read.sha256 == sha256 == hashlib.sha256((tmp_path / "pool.npz").read_bytes()).hexdigest()
    assert pool_bytes(read) == pool_bytes(made) == (tmp_path / "pool.npz").read_bytes()
    for ours, theirs in zip(made.donors, read.donors, strict=True):
        assert ours.code == theirs.code
        for name, pieces in ours.sessions.items():
            for a, b in zip(pieces, theirs.sessions[name], strict=True):
                assert (a.key, a.block, a.number) == (b.key, b.block, b.number)
                np.testing.assert_allclose(a.z, b.z, atol=1 / STEPS_PER_SD)
                assert not np.any(b.z[np.isfinite(b.z)] * STEPS_PER_SD % 1 == 0)  # no round numbers


def test_pool_is_never_overwritten(tmp_path):
    write_pool(pool(), tmp_path / "pool.npz")
    with pytest.raises(WrongInput, match="a pool never changes"):
        write_pool(pool(), tmp_path / "pool.npz")


def test_damaged_or_missing_pool_is_refused(tmp_path):
    path = tmp_path / "pool.npz"
    with pytest.raises(UnknownFile, match="neurofb donors build"):
        read_pool(path)
    content = pool_bytes(pool())
    for spoilt in (
        b"",
        content[:-40],
        b"PK\3\4" + content[4:200],
        content[:300] + b"\0" * 50 + content[350:],
    ):
        path.write_bytes(spoilt)
        with pytest.raises(WrongFile, match="no pool of donors, or it is damaged"):
            read_pool(path)


def test_good_pool_has_no_problem():
    assert problems(pool()) == []


def test_pool_of_another_protocol_is_refused():
    assert "trained by another protocol" in problems(pool(), training="0" * 64)[0]


def test_pool_with_eleven_people_is_refused():
    """One person twice under two spellings is one donor."""
    eleven = pool(donors=[donor(f"D{i}") for i in range(11)])
    twice = pool(donors=[*(donor(f"D{i}") for i in range(11)), donor("d-10")])
    for made in (eleven, twice):
        assert "11 donors, expected: 12" in problems(made)[0]


def test_pool_whose_donors_lack_a_session_of_the_course_is_refused():
    short = pool(donors=[*(donor(f"D{i}") for i in range(11)), Donor("D11", {"1": donor("x").sessions["1"]})])
    assert "session '2': 1 donors lack it (D11)" in problems(short)[0]


def test_pool_without_usable_scores_of_a_level_is_refused():
    bad = [piece("heat", 0, "hot", 0, np.full(300, np.nan)), piece("heat", 0, "", 0), piece("rest", 0, "", 0)]
    made = pool(
        donors=[*(donor(f"D{i}") for i in range(11)), Donor("D11", {"1": tuple(bad), "2": tuple(bad)})]
    )
    assert any("level 'hot': 11 of 12 donors" in text for text in problems(made))


def test_pool_with_less_than_a_minute_for_a_phase_is_refused():
    made = pool(n=48)  # 12 donors of 3 s
    assert any("36 s together; expected: all of them, and 60 s" in text for text in problems(made))


def test_donor_is_never_the_participant_however_the_code_is_spelt():
    made = pool()
    for seed in range(20):
        for code in ("D3", "d3", "D-3"):
            assert "D3" not in [each.code for each in made.order(seed, code)]
    with pytest.raises(WrongInput, match="nobody but the participant"):
        pool(donors=[donor("D1")]).order(1, "D1")


def test_seed_decides_the_donor_and_all_are_drawn():
    made = pool()
    assert [d.code for d in made.order(7, "P1")] == [d.code for d in made.order(7, "P1")]
    assert {made.order(seed, "P1")[0].code for seed in range(200)} == {f"D{i}" for i in range(12)}


def test_fixed_threshold_draws_donors_whose_rate_is_within_three_points_of_the_median():
    rng = np.random.default_rng(1)
    shifts = [-1.0, 1.0, 0.8, -0.8, *(0.0,) * 8]
    made = pool(donors=[donor(f"D{i}", z=rng.normal(shift, 1, 4000)) for i, shift in enumerate(shifts)])
    drawn = {made.order(seed, "P1", 0.5)[0].code for seed in range(100)}
    assert drawn == {f"D{i}" for i in range(4, 12)}
    usual = np.median([success_rate(each, 1.0, 0.5) for each in made.donors])
    for each in made.donors:
        assert (abs(success_rate(each, 1.0, 0.5) - usual) <= 0.03) == (each.code in drawn)


def test_gaps_are_filled_with_scores_of_others_and_time_goes_on():
    z = np.zeros(60)
    z[20:40] = np.nan
    z[:2] = z[-3:] = np.nan
    others = Filler([piece("rest", 0, "", 0, np.full(100, 1.0))])
    full = patched(z, others, 4)
    assert full[:2].tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(full[20:40], 1.0)
    assert full[-3:].tolist() == [1.0, 1.0, 1.0]
    assert full[10:16].tolist() == [0.0] * 6
    assert (np.diff(full[16:21]) > 0).all()
    assert (np.diff(full[39:44]) < 0).all()


def test_filling_keeps_variance_and_memory_and_makes_no_jump():
    """Slow noise as of a smoothed feature: mirrored scores would have a memory that others do not have."""
    z = slow_noise(3, 20_000)
    gaps = z.copy()
    for at in range(100, 19_900, 200):
        gaps[at : at + 60] = np.nan
    full, inside = patched(gaps, Filler([piece("rest", 0, "", 0, slow_noise(4, 20_000))]), 16), np.isnan(gaps)
    assert full[inside].std() == pytest.approx(1.0, abs=0.1)
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    assert np.abs(np.diff(full))[edges].std() < 2.0 * np.abs(np.diff(z)).std()
    for lag in (16, 32, 64):
        assert abs(np.mean(full[lag:] * full[:-lag]) - np.mean(z[lag:] * z[:-lag])) < 0.12


def test_filler_gives_whole_runs_in_turn():
    z = np.arange(30.0)
    z[10] = z[25:] = np.nan
    made = Filler([piece("rest", 0, "", 0, z)])
    assert made.take(3).tolist() == [0, 1, 2]
    assert made.take(8).tolist() == list(range(11, 19))
    assert made.take(3).tolist() == [19, 20, 21]
    assert made.take(12).tolist() == list(range(11, 23))
    assert len(made.take(200)) == 200


def test_head_of_a_pool_that_names_more_scores_than_there_are_is_refused():
    short = DonorPool(TRAINING, "theta", "up", 1 / 16, (donor("D1"),))
    content = pool_bytes(short)
    assert parsed_pool(content).donors[0].code == "D1"
    bad = pool_bytes(DonorPool(TRAINING, "theta", "up", 0.0, (donor("D1"),)))
    with pytest.raises(ValueError, match="no steps"):
        parsed_pool(bad)
