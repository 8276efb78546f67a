"""The only place that finds the newest stamp of a column too long to be read at once."""

from __future__ import annotations

import pandas as pd

from propensity.asof.stamps import parse_stamps, tells_day_from_month
from propensity.errors import InputError


class Newest:
    """The newest stamp of a column that comes in parts.

    Parameters
    ----------
    timezone : str
        Zone of stamps that name none.
    name : str
        The column.

    Examples
    --------
    >>> newest = Newest(timezone="UTC", name="Created")
    >>> newest.add(pd.Series(["05/02/2026 10:00"]))  # does not tell day from month
    >>> newest.add(pd.Series(["31/01/2026 10:00"]))
    >>> newest.found
    Timestamp('2026-02-05 10:00:00+0000', tz='UTC')
    """

    def __init__(self, *, timezone: str, name: str) -> None:
        self._timezone, self._name = timezone, name
        self._newest: pd.Timestamp | None = None
        # What could not be read by itself, and a cell that says how the others are meant.
        self._unclear: list[pd.Series] = []
        self._telling: list[object] = []

    def add(self, part: pd.Series) -> None:
        """Look at a part of the column; missing cells are NaN."""
        try:
            found = self._read(part)
        except InputError:
            self._unclear.append(pd.Series(part.dropna().unique()))
            return
        self._newest = max((at for at in (self._newest, found) if at is not None), default=None)
        if not self._telling and not isinstance(part.dtype, pd.DatetimeTZDtype) and part.dtype.kind == "O":
            self._telling = [cell for cell in part.dropna().unique() if tells_day_from_month(cell)][:1]

    @property
    def found(self) -> pd.Timestamp | None:
        """The newest stamp; None where there is none, or the column cannot be read: it does not hold dates."""
        if not self._unclear:
            return self._newest
        try:
            rest = self._read(pd.concat([*self._unclear, pd.Series(self._telling, dtype=object)], ignore_index=True))
        except InputError:
            return None
        return max((at for at in (self._newest, rest) if at is not None), default=None)

    def _read(self, part: pd.Series) -> pd.Timestamp | None:
        return parse_stamps(part, timezone=self._timezone, name=self._name).newest
