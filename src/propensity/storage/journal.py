"""The only place that keeps what is done of a long run, so that the same run started again goes on from there.

Beside the output lies a hidden folder: ``run.json`` says what the run is of, each part of the result is a file, and
``journal.jsonl`` has a line for each part that is done. A part is written beside its place, flushed, put in place and
only then entered in the journal: a run that is killed loses the part it was at, and no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from propensity.errors import OutputError
from propensity.storage.writing import sync_folder

_RUN, _JOURNAL = "run.json", "journal.jsonl"


class Journal:
    """What is done of a run.

    Parameters
    ----------
    output : Path
        What the run is to write; held against other runs by the caller.
    run : mapping
        What the run is of, as JSON holds it: inputs, model, options. Parts of another run are thrown away.

    Attributes
    ----------
    folder : Path
        Where the parts are; what else is put there is gone when the run ends.
    lines : list of mapping
        What was told of each part that is done, in order.
    is_anew : bool
        Whether parts of another run were there, and are thrown away.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """

    def __init__(self, output: Path, run: Mapping[str, Any]) -> None:
        self.folder = output.parent / f".{output.name}.parts"
        self.lines: list[Mapping[str, Any]] = []
        self._output = output
        said = json.dumps(run, sort_keys=True, indent=1)
        self._run = hashlib.sha256(said.encode()).hexdigest()
        with self._writing():
            is_there = self.folder.is_dir() and not self.folder.is_symlink()
            self.is_anew = is_there and _text(self.folder / _RUN) not in {"", said}
            if is_there and _text(self.folder / _RUN) == said:
                self._read()
                return
            self._clear()
            self.folder.mkdir(mode=0o700)  # what lies there is about people, as the output is
            try:
                _write(self.folder / _RUN, said.encode())
            except OSError:
                self.remove()
                raise
            sync_folder(output.parent)

    def add(self, parts: Mapping[str, bytes], told: Mapping[str, Any]) -> None:
        """Keep the next part.

        Parameters
        ----------
        parts : mapping of str to bytes
            The files it is made of, by how their names end.
        told : mapping
            What is to be known of it, as JSON holds it.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        number = len(self.lines)
        line = {
            "part": number,
            "run": self._run,
            "sha256": {suffix: hashlib.sha256(content).hexdigest() for suffix, content in parts.items()},
            **told,
        }
        with self._writing():
            for suffix, content in parts.items():
                _write(self._path(number, suffix), content)
            sync_folder(self.folder)
            with (self.folder / _JOURNAL).open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self.lines.append(line)

    def files(self, suffix: str) -> list[list[Path]]:
        """Give the files of each part whose name ends so, in the order they were given in."""
        return [
            [self._path(i, own) for own in line["sha256"] if own.endswith(suffix)] for i, line in enumerate(self.lines)
        ]

    def restart(self) -> None:
        """Throw the parts away; the run itself stays the same."""
        with self._writing():
            (self.folder / _JOURNAL).unlink(missing_ok=True)
        self.lines = []

    def end(self) -> None:
        """Leave what is done to the next run of the same command; nothing where nothing is."""
        if not self.lines:
            self.remove()

    def remove(self) -> None:
        """Take the folder away: nothing of the run is left to be gone on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06}{suffix}"

    def _read(self) -> None:
        """Take what the journal says, up to the first line or part that is not whole; throw the rest away."""
        journal = self.folder / _JOURNAL
        for text in _text(journal).splitlines(keepends=True):
            line = _line(text)
            if line.get("part") != len(self.lines) or line.get("run") != self._run:
                break
            if any(_digest(self._path(line["part"], suffix)) != sha for suffix, sha in line["sha256"].items()):
                break
            self.lines.append(line)
        known = {_RUN, *(self._path(line["part"], suffix).name for line in self.lines for suffix in line["sha256"])}
        for path in self.folder.iterdir():
            if path.name not in known:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _write(journal, b"".join(json.dumps(line).encode() + b"\n" for line in self.lines))

    def _clear(self) -> None:
        if self.folder.is_symlink() or self.folder.is_file():
            self.folder.unlink()
        elif self.folder.exists():
            shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = (
                f"Cannot write {self._output.name}, or its parts beside it: {error.strerror or error}. What stood "
                "there before is intact."
            )
            raise OutputError(msg) from error


def _write(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _line(text: str) -> Mapping[str, Any]:
    """Read a line of the journal; nothing of one that was cut short."""
    with contextlib.suppress(ValueError):
        line = json.loads(text)
        if text.endswith("\n") and isinstance(line, dict) and isinstance(line.get("sha256"), dict):
            return line
    return {}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
