"""Save a mapping file: whole or not at all, and never over what somebody else saved meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ometria_provider.exceptions import Misconfigured


class ChangedMeanwhile(Misconfigured):
    """The file is not the one any more that was edited."""


def digest_of(raw: bytes) -> str:
    """Return what tells one state of a file from another."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def save_text(path: Path, text: str, *, over: str | None) -> str:
    """Write a file and return its new digest.

    :param over: digest of the file that was edited; None: there was none.
    :raises ChangedMeanwhile: when another state is there by now. Nothing is written then.
    :raises Misconfigured: when the folder does not let this process write.
    """
    target = path.resolve()
    raw = text.encode()
    try:
        with _locked(target.parent):
            found = digest_of(target.read_bytes()) if target.exists() else None
            if found != over:
                raise ChangedMeanwhile(_refusal(path, found, over))
            _replace(target, raw)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be written: {error.strerror}. Download the file instead, or let the API server's user "
            "write into the mappings folder."
        ) from error
    return digest_of(raw)


def _refusal(path: Path, found: str | None, over: str | None) -> str:
    what = "is there already" if over is None else "was removed meanwhile" if found is None else "was changed meanwhile"
    return f"{path.name} {what}: nothing was saved. Download your text, load the page anew, and make the change there."


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others who save from this folder; the lock is on the folder itself, so that no file of it stays behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(target: Path, raw: bytes) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    # Readers of the folder pass names over that begin with a dot.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(handle)
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
