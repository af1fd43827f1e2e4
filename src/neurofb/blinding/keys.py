"""The keys of a blinded study: X25519 pairs as the program ``age`` makes and reads them.

In: files, or the environment variable ``NEUROFB_ENGINE_KEY``. Out: keys to seal with (public) and to open with
(private). Kept: the engine's key between the start of the program and its first use.

A private key is in no text, message, representation or pickle that is made here. The environment variable is read once
and removed, its bytes in the memory that ``/proc/PID/environ`` shows are overwritten, and no core file is written
after a private key was read. Who may read the memory of the process reads the key, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from neurofb import limits
from neurofb.errors import NeurofbError, WrongFile, WrongInput

ENGINE_KEY = "NEUROFB_ENGINE_KEY"
#: How age writes its keys.
_PUBLIC, _PRIVATE = re.compile(r"\bage1[0-9a-z]{58}\b"), re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b")
#: Bytes of a file with a key; that of age-keygen has 190 (assumed).
MOST_KEY_BYTES = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def pyrage() -> Any:
    """Return the library that reads and writes age files.

    Raises
    ------
    NeurofbError
        If it is not installed.
    """
    try:
        import pyrage as library
    except ModuleNotFoundError:
        raise NeurofbError(
            "sealed allocation needs the library pyrage: run pip install 'neurofb[blinding]'"
        ) from None
    return library


class PrivateKey:
    """A key that opens; it shows itself nowhere."""

    __slots__ = ("_identity",)

    def __init__(self, text: str) -> None:
        try:
            self._identity = pyrage().x25519.Identity.from_str(text)
        except NeurofbError:
            raise
        except Exception:  # what the library says may quote the key
            raise WrongInput(
                "found no private key; expected: AGE-SECRET-KEY-1 and 58 letters and digits"
            ) from None

    @property
    def identity(self) -> Any:
        """The key as the library takes it."""
        return self._identity

    @property
    def public(self) -> str:
        """The public key that belongs to it."""
        return str(self._identity.to_public())

    def __repr__(self) -> str:
        """Name the public key that belongs to it."""
        return f"<private key of {self.public}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied into a file or another process."""
        raise TypeError("a private key is not pickled")


class _Held:
    """The engine's key as the environment had it, until somebody needs it."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text: str | None = None

    def __repr__(self) -> str:
        return "<hidden>"


_HELD = _Held()


def take_engine_key() -> None:
    """Take ``NEUROFB_ENGINE_KEY`` out of the environment, once, before any other process is started."""
    text = os.environ.get(ENGINE_KEY)
    if text is None:
        return
    _HELD.text = text.strip()
    if os.name == "posix":  # unsetenv forgets the address and leaves the bytes where /proc shows them
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.getenv.restype = ctypes.c_void_p
            if address := libc.getenv(ENGINE_KEY.encode()):
                ctypes.memset(address, ord("-"), len(os.fsencode(text)))
    del os.environ[ENGINE_KEY]


def engine_key(path: Path | None = None) -> PrivateKey:
    """Return the key that the engine opens envelopes with.

    Parameters
    ----------
    path : Path, optional
        Of its file; left out: what ``NEUROFB_ENGINE_KEY`` held when the program started: the key, or its file's path.

    Raises
    ------
    WrongInput, WrongFile
        If there is none, or it is none.
    """
    if path is not None:
        return read_private_key(path)
    take_engine_key()
    held = _HELD.text
    if held is None:
        raise WrongInput(
            f"the engine has no key to open envelopes with; set {ENGINE_KEY}, or give its file with --engine-key"
        )
    if _PRIVATE.fullmatch(held):
        forbid_core_files()
        return PrivateKey(held)
    # Never shown: it may be a key with a letter too much.
    if "\0" not in held and len(held) < 4096 and Path(held).is_file():
        return read_private_key(Path(held))
    raise WrongInput(
        f"{ENGINE_KEY} holds neither a private key nor the path of a file; expected: AGE-SECRET-KEY-1…, or the path "
        "of the file that neurofb keys made"
    )


def forbid_core_files() -> None:
    """Let the system write no memory of this process, or of those it starts, into a file when it dies."""
    if os.name == "posix":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read_private_key(path: Path) -> PrivateKey:
    """Return the private key in a file of ``neurofb keys`` or ``age-keygen``.

    Raises
    ------
    WrongFile
        If it cannot be read, others may read it, or it holds no key or several.
    """
    try:
        text = limits.read_text(path, MOST_KEY_BYTES)
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongFile(_unreadable("private", path, error)) from None
    found = _PRIVATE.findall(text)
    if len(found) != 1:
        raise WrongFile(
            f"{path} holds {len(found) or 'no'} private key{'s' * (len(found) > 1)}; expected: one line "
            "AGE-SECRET-KEY-1…, as neurofb keys and age-keygen write it"
        )
    if os.name == "posix" and mode & 0o077:
        raise WrongFile(
            f"others may read the private key {path}: its mode is {mode:04o}, expected: 0600. Run chmod 600 {path}; if "
            "others have read it, make new keys and a new allocation"
        )
    forbid_core_files()
    try:
        return PrivateKey(found[0])
    except WrongInput:
        raise WrongFile(
            f"the private key in {path} has a wrong letter: its checksum does not fit; copy it again"
        ) from None


def read_public_key(path: Path) -> str:
    """Return the public key in a file, ``age1…``.

    Raises
    ------
    WrongFile
        If it cannot be read, or holds no public key, several, or a private one, which goes to nobody.
    """
    try:
        text = limits.read_text(path, MOST_KEY_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongFile(_unreadable("public", path, error)) from None
    if _PRIVATE.search(text):
        raise WrongFile(
            f"{path} holds a private key; expected: the public one (age1…), from the file that ends in .pub"
        )
    found = _PUBLIC.findall(text)
    if len(found) != 1:
        raise WrongFile(f"{path} holds {len(found) or 'no'} public keys; expected: one line age1…")
    try:
        pyrage().x25519.Recipient.from_str(found[0])
    except NeurofbError:
        raise
    except Exception:
        raise WrongFile(
            f"the public key in {path} has a wrong letter: its checksum does not fit; copy it again"
        ) from None
    return str(found[0])


def make_keys(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a pair of keys: ``name.key``, readable by its owner alone, and ``name.pub``, for everybody.

    Raises
    ------
    WrongInput
        If the name is no file's name, or one of the files exists.
    """
    if not _NAME.fullmatch(name):
        raise WrongInput(f"{name!r} is no name for keys; expected: letters, digits, - and _, as statistician")
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private, public):
        if path.exists():
            raise WrongInput(
                f"{path} exists and is not overwritten: what it sealed could not be opened again"
            )
    identity = pyrage().x25519.Identity.generate()
    recipient = identity.to_public()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(private, f"# public key: {recipient}\n{identity}\n", 0o600)
        _write(public, f"{recipient}\n", 0o644)
    except OSError as error:
        raise WrongInput(f"the keys cannot be written to {folder}: {error.strerror}") from None
    return private, public


def _write(path: Path, text: str, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _unreadable(kind: str, path: Path, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else "it is no text"
    return f"the {kind} key {path} cannot be read: {why}; neurofb keys makes one"
