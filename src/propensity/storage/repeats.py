"""The only place that finds rows of one lead in a file too large to be held."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd

from propensity.errors import OutputError

# Rows of one key are in one pile, and a pile is looked through at once: of ten million rows, four megabytes each.
N_PILES = 64
# So many bytes are held of a pile before they are written.
_HELD_BYTES = 1 << 16
_RECORD = np.dtype([("first", "u8"), ("second", "u8"), ("row", "i8")])
# Any two will do, as long as they differ: two texts are taken for one when both hashes agree, by chance once in 2^128.
# Keys that are numbers already (hashes of whole rows without ids, which are only counted) have one hash: once in 2^64.
_HASH_KEYS = ("first hash of it", "other hash of it")


class Repeats:
    """Keys of rows as they come, kept on disk; which rows have the key of an earlier one.

    Parameters
    ----------
    folder : Path
        Where what is kept may lie meanwhile.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder, Repeats(Path(folder)) as repeats:
    ...     repeats.add(pd.DataFrame({"key": ["a", "b"]}), np.array([0, 1]))
    ...     repeats.add(pd.DataFrame({"key": ["b"]}), np.array([2]))
    ...     repeats.sets()
    array([[1, 0],
           [2, 0]])
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[list[np.ndarray]] = [[] for _ in range(N_PILES)]
        self._n_held = [0] * N_PILES

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix=".propensity-", dir=self._folder, ignore_cleanup_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._place.cleanup()

    def add(self, keys: pd.DataFrame, rows: np.ndarray) -> None:
        """Take the keys of some rows, each of one or more cells, and which rows of the file they are.

        Parameters
        ----------
        keys : DataFrame of object or datetime, shape (n_rows, n_parts)
        rows : array of int, shape (n_rows,)

        Raises
        ------
        OutputError
            They cannot be kept.
        """
        records = np.empty(len(keys), dtype=_RECORD)
        records["first"], records["second"] = (_hashes(keys, key) for key in _HASH_KEYS)
        records["row"] = rows
        pile = records["first"] % N_PILES
        order = np.argsort(pile, kind="stable")
        ends = np.searchsorted(pile[order], np.arange(N_PILES + 1))
        for i in range(N_PILES):
            self._held[i].append(records[order[ends[i] : ends[i + 1]]])
            self._n_held[i] += self._held[i][-1].nbytes
            if self._n_held[i] > _HELD_BYTES:
                self._write(i)

    def sets(self) -> np.ndarray:
        """Give the rows that share a key with another.

        Returns
        -------
        array of int, shape (n_rows, 2)
            The row, in order, and the number of its key.
        """
        found, n_keys = [np.empty((0, 2), dtype=np.int64)], 0
        for i in range(N_PILES):
            kept = [np.fromfile(self._path(i), dtype=_RECORD)] if self._path(i).exists() else []
            pile = pd.DataFrame(np.concatenate([*kept, *self._held[i], np.empty(0, dtype=_RECORD)]))
            shared = pile[pile.duplicated(["first", "second"], keep=False)]
            numbers = shared.groupby(["first", "second"]).ngroup().to_numpy() + n_keys
            n_keys = int(numbers.max(initial=n_keys - 1)) + 1
            found.append(np.column_stack([shared["row"].to_numpy(), numbers]))
        every = np.concatenate(found)
        return every[np.argsort(every[:, 0])]

    def _path(self, pile: int) -> Path:
        return Path(self._place.name) / str(pile)

    def _write(self, pile: int) -> None:
        try:
            with self._path(pile).open("ab") as file:
                for records in self._held[pile]:
                    file.write(records.tobytes())
        except OSError as error:
            msg = f"Cannot write beside the output while the leads are read: {error.strerror or error}."
            raise OutputError(msg) from error
        self._held[pile], self._n_held[pile] = [], 0


def _hashes(keys: pd.DataFrame, hash_key: str) -> np.ndarray:
    total = np.zeros(len(keys), dtype=np.uint64)
    for name in keys.columns:
        column = keys[name]
        own = pd.util.hash_array(
            column.fillna("\0").to_numpy(dtype=object) if column.dtype == object else column.to_numpy(),
            hash_key=hash_key,
        )
        total = total * np.uint64(0x9E3779B97F4A7C15) + own
    return total
