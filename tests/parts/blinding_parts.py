"""Keys and study files for tests of blinding."""

from pathlib import Path

from neurofb.blinding.envelope_folder import Recipients
from neurofb.blinding.keys import make_keys, read_public_key

NAMES = ("statistician", "emergency", "engine")


def made_keys(folder: Path) -> Recipients:
    """Make the three pairs of keys and return the public ones."""
    for name in NAMES:
        make_keys(name, folder)
    return Recipients(*(read_public_key(folder / f"{name}.pub") for name in NAMES))


def study_text(
    allocation: str = 'method = "blocks"\nblock_sizes = [4]\nslots = 8',
    strata: str = "",
    arms=(("trained", 1), ("other", 1)),
    masked: str = '["participant", "operator"]',
    protocol: str = "p.toml",
    sha256: str = "a" * 64,
) -> str:
    rows = "".join(
        f'\n[[arms]]\nid = "{arm}"\nratio = {ratio}\nprotocol = "{protocol}"\nprotocol_sha256 = "{sha256}"\n'
        for arm, ratio in arms
    )
    return (
        f'[study]\nid = "s"\ntitle = "A study"\n\n[allocation]\n{allocation}\n\n[blinding]\nmasked = {masked}\n'
        f"{strata}{rows}"
    )


SITES = '\n[[strata]]\nname = "site"\nlevels = ["A", "B"]\n\n[[strata]]\nname = "sex"\nlevels = ["f", "m"]\n'
