"""Blinded sessions for tests: keys made on the spot, an envelope, and the pool that comes with neurofb."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyrage
from sham_parts import slow_noise

from neurofb.blinding.donors import Donor, DonorPool, Piece, parsed_pool, pool_bytes
from neurofb.blinding.envelopes import Sealed, envelope_bytes
from neurofb.blinding.keys import PrivateKey
from neurofb.engine.blinded_session import BlindedSession
from neurofb.protocol.bundled import bundled_pool, protocol_text
from neurofb.protocol.delivery import needs_of, training_sha256
from neurofb.protocol.design import load_protocol


@dataclass(frozen=True)
class Keys:
    """The three pairs of a study."""

    statistician: PrivateKey
    emergency: PrivateKey
    engine: PrivateKey

    @property
    def public(self) -> tuple[str, ...]:
        return self.statistician.public, self.emergency.public, self.engine.public


@cache
def keys() -> Keys:
    return Keys(*(PrivateKey(_texts()[name]) for name in ("statistician", "emergency", "engine")))


@cache
def _texts() -> dict[str, str]:
    return {name: str(pyrage.x25519.Identity.generate()) for name in ("statistician", "emergency", "engine")}


def blinded(arm: str, slot: int = 1, donor_seed: int = 5, pool=None) -> BlindedSession:
    """Return the opened envelope of a participant of nf-sham."""
    pool = bundled_pool("nf-sham") if pool is None else pool
    sealed = Sealed("0" * 64, slot, "", arm, donor_seed, pool.sha256)
    return BlindedSession(envelope_bytes(sealed, keys().public), sealed, pool, keys().public)


def key_file(folder: Path, name: str = "statistician") -> Path:
    """Write a private key as ``neurofb keys`` does."""
    path = folder / f"{name}.key"
    path.write_text(f"{_texts()[name]}\n")
    path.chmod(0o600)
    return path


HEAT = """
[heat]
sites = ["left forearm"]
rotation = "fixed"
baseline_c = 32.0
rise_c_per_s = 8.0
return_c_per_s = 8.0
cap_c = 47.0

[heat.levels.warm]
celsius = 36.0
plateau_s = 2.0

[heat.levels.hot]
celsius = 45.0
plateau_s = 2.0
"""


def short_protocol(
    folder: Path, *, heat: bool = False, kinds: tuple[str, str] = ("real", "sham:yoked")
) -> Path:
    """Write nf-sham with a block of a few seconds, or with two stimuli in it; return its path."""
    text = protocol_text("nf-sham")[0]
    text = text[: text.index("[[sessions]]")] + text[text.index("[sources]") :]
    for was, now in (
        ('id = "nf-sham"', 'id = "short"'),
        ('title = "Real and yoked sham feedback, on simulated devices"', 'title = "Practice"'),
        ("duration_s = 3.0", "duration_s = 1.0"),
        ("duration_s = 24.0", "duration_s = 12.0"),
        ("duration_s = 45.0", "duration_s = 14.0"),
        ("duration_s = 5.0", "duration_s = 1.0"),
        ("duration_s = 15.0", "duration_s = 2.0"),
        ("least_s = 12.0", "least_s = 6.0"),
        ("answer_s = 4.0", "answer_s = 1.0"),
        ('"real"\n\n', f'"{kinds[0]}"\n\n'),
        ('"sham:yoked"', f'"{kinds[1]}"'),
    ):
        assert was in text, was
        text = text.replace(was, now)
    if heat:
        text = text.replace("[[scales]]", f"{HEAT}\n[[scales]]", 1)
        trials = '[phases.trials]\norder = ["warm", "hot", "warm"]\nlead_s = 4.0\nrelief_s = 9.0\n'
        text = text.replace("duration_s = 14.0\n", trials)
        text = text.replace("[sources]", '[sources]\nheat = "assumed: for a test"')
    path = folder / "short.toml"
    path.write_text(text)
    return path


def noise_pool(protocol: Path, codes: tuple[str, ...] = (), hop_s: float = 1 / 32) -> DonorPool:
    """Return a pool for a protocol whose donors' scores are slow noise."""
    study = load_protocol(protocol)
    donors = []
    for k, code in enumerate(codes or [f"D{i}" for i in range(12)]):
        sessions: dict[str, tuple[Piece, ...]] = {}
        for i, need in enumerate(needs_of(study)):
            z = slow_noise(100 * k + i, max(400, round(need.duration_s / hop_s)))
            sessions[need.session] = (*sessions.get(need.session, ()), Piece(need.phase, 0, need.level, 0, z))
        donors.append(Donor(code, sessions))
    assert study.feedback is not None
    made = DonorPool(training_sha256(study), study.feedback.feature, "up", hop_s, tuple(donors))
    return parsed_pool(pool_bytes(made))


@cache
def stranger() -> PrivateKey:
    """Return a key that opens nothing."""
    return PrivateKey(str(pyrage.x25519.Identity.generate()))
