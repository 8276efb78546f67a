"""The only place that words the watch over promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.metrics import rate_interval

if TYPE_CHECKING:
    from propensity.monitoring import Watch, Watched

MAX_ROWS = 24
_KEPT = {
    "SQL": "SQLs convert: {promise:.0%} promised; {n:,} of {of:,} whose outcome is known did",
    "recall": "customers found: {promise:.0%} promised to be SQL or MQL before; {n:,} of {of:,} were",
}


def watch_lines(watch: Watch, *, alarm: float) -> list[str]:
    """Word the watch for marketing and sales, line by line."""
    until = f", outcomes known up to {watch.known_to[:10]}" if watch.known_to else ""
    lines = [f"{watch.n_leads:,} leads in {watch.n_rows:,} score rows{until}; models {', '.join(watch.versions)}"]
    if watch.n_waiting:
        lines.append(f"  {watch.n_waiting:,} leads wait: their outcome is not known yet, which is no loss")
    if watch.n_had:
        lines.append(f"  {watch.n_had:,} leads had converted before they were scored: left out")
    lines += ["", "Promises"]
    for one in watch.promises:
        lines += [f"  {line}" for line in _promise_lines(one, alarm=alarm)]
    lines += ["", "What bands converted at (each lead by its first score; 90 % intervals)"]
    lines += _table(watch.bands[watch.bands["leads"] > 0], {"rate": "{:.1%}", "low": "{:.1%}", "high": "{:.1%}"})
    if watch.rules["leads"].sum():
        lines += ["", "Leads the rules scored: no promise is about them"]
        lines += _table(watch.rules[watch.rules["leads"] > 0], {"rate": "{:.1%}", "low": "{:.1%}", "high": "{:.1%}"})
    lines += ["", "From lead to customer, by month of the first score, so far"]
    lines += _table(watch.funnel.dropna(axis=1, how="all"), {"worked": "{:,.0f}"})
    if watch.funnel["worked"].notna().any():
        sql, worked = int(watch.funnel["sql"].sum()), int(watch.funnel["worked"].sum())
        lines += ["", f"Sales worked {worked:,} of {sql:,} SQLs ({worked / max(sql, 1):.0%})"]
    lines += ["", *(f"ALARM: {alarm_line}." for alarm_line in watch.alarms)]
    if not watch.alarms:
        lines.append("No alarm: nothing that chance does not explain.")
    return lines


def _promise_lines(one: Watched, *, alarm: float) -> list[str]:
    said = _KEPT[one.name].format(promise=one.rate, n=one.n_converted, of=one.n_leads)
    if not one.n_leads:
        return [f"{said}: nothing can be said yet ({one.n_waiting:,} wait)"]
    low, high = rate_interval(one.n_converted, one.n_leads, confidence=0.9)
    evidence = one.evidence[-1]
    stand = (
        f"BROKEN: with the leads scored up to {one.alarmed_at[:10]} the evidence reached {alarm:g}"
        if one.alarmed_at
        else f"not refuted (evidence against it {evidence:.2g}, alarm from {alarm:g} on)"
    )
    waiting = f"; {one.n_waiting:,} wait" if one.n_waiting else ""
    return [f"{said}, {one.n_converted / one.n_leads:.1%} ({low:.1%}-{high:.1%}){waiting}", f"  {stand}"]


def _table(frame: pd.DataFrame, formats: dict[str, str]) -> list[str]:
    shown = frame.head(MAX_ROWS).copy()
    for name in shown.columns:
        if name in formats:
            how = formats[name]
            shown[name] = [("" if one != one else how.format(one)) for one in shown[name]]  # noqa: PLR0124 - NaN
        elif shown[name].dtype.kind in "if":
            shown[name] = [f"{one:,}" for one in shown[name]]
    lines = [f"  {line}" for line in shown.to_string(index=False).splitlines()]
    more = len(frame) - MAX_ROWS
    return [*lines, *([f"  … and {more:,} rows more: -o DIR writes them all"] if more > 0 else [])]


def watch_json(watch: Watch) -> dict[str, Any]:
    """Give the watch as plain JSON values."""

    def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
        plain = frame.astype(object).where(frame.notna(), None)
        return [
            {str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
            for row in plain.to_dict("records")
        ]

    return {
        "leads": watch.n_leads,
        "rows": watch.n_rows,
        "waiting": watch.n_waiting,
        "converted_before": watch.n_had,
        "unscored": watch.n_unscored,
        "known_to": watch.known_to or None,
        "model_versions": list(watch.versions),
        "promises": [
            {
                "name": one.name,
                "rate": one.rate,
                "leads": one.n_leads,
                "kept": one.n_converted,
                "waiting": one.n_waiting,
                "evidence": one.evidence[-1] if one.evidence else None,
                "alarmed_at": one.alarmed_at or None,
            }
            for one in watch.promises
        ],
        "volumes": [
            {**vars(one), "before": None if one.before != one.before else one.before, "is_alarm": one.is_alarm}
            for one in watch.volumes
        ],
        "bands": records(watch.bands),
        "rules": records(watch.rules),
        "funnel": records(watch.funnel),
        "alarms": list(watch.alarms),
    }
