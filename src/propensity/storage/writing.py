"""The only place that replaces files: whole or not at all, one run at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from propensity.errors import LockedError, OutputError

try:
    import fcntl
except ImportError:  # not a POSIX system: no lock, everything else holds
    fcntl = None  # type: ignore[assignment]


def check_writable(path: Path) -> None:
    """Refuse early what could not be written late.

    Raises
    ------
    OutputError
        The folder is absent or not writable, or the path is a folder.
    """
    if path.is_dir():
        msg = f"Cannot write {path.name or path}: it is a folder. Name a file."
        raise OutputError(msg)
    if not path.parent.is_dir():
        msg = f"Cannot write {path.name}: its folder {path.parent} does not exist. Make it first."
        raise OutputError(msg)
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        msg = f"Cannot write {path.name}: no permission. Choose another place."
        raise OutputError(msg)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = None, folder: Path | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving, flush it to disk and put it in place in one step.

    What stood at `path` stays until then, and stays for good if anything fails. `mode` are its rights from the first
    byte on; None: those a new file gets. `folder`, on the same disk, is where it lies until then; None: beside it.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder or path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask if mode is None else mode)
        temporary.replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        msg = f"Cannot write {path.name}: {error.strerror or error}. What stood there before is intact."
        raise OutputError(msg) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    check_writable(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, where they are not there.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make {folder}: {error.strerror or error}."
        raise OutputError(msg) from error


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files whole or not at all; an older folder is replaced.

    Raises
    ------
    OutputError
        The place cannot be written; an older folder is intact.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        temporary.chmod(0o755)
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                path.rename(aside / "old")
                try:
                    temporary.rename(path)
                except OSError:
                    (aside / "old").rename(path)
                    raise
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        else:
            temporary.rename(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        msg = f"Cannot write {path.name}: {error.strerror or error}."
        raise OutputError(msg) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold an output against other runs; the operating system lets go even when the run is killed.

    Raises
    ------
    LockedError
        Another run holds it.
    """
    if fcntl is None:
        yield
        return
    lock = path.parent / f".{path.name}.lock"
    try:
        handle = lock.open("w")
    except OSError as error:
        msg = f"Cannot write beside {path.name}: {error.strerror or error}."
        raise OutputError(msg) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _locked(path) from error
        # A run that ended between the two steps above took its lock file along: what is held now is no one's lock.
        if not lock.exists() or not os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
            raise _locked(path)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _locked(path: Path) -> LockedError:
    return LockedError(f"Another run is writing {path.name}. Wait for it, or name another output.")


def sync_folder(folder: Path) -> None:
    """Flush which files are in a folder to disk, where the file system can."""
    with contextlib.suppress(OSError):  # some file systems cannot; the rename itself is still whole
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
