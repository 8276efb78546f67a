"""The only place that words the audit of the points sheet, and writes sheets into the text of a config."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from propensity.errors import ConfigError
from propensity.reporting.settings import toml_value

if TYPE_CHECKING:
    from propensity.evaluation import Measured
    from propensity.training.sheet import RuleAudit, SheetAudit

_BLOCK = re.compile(r"^\s*\[\[\s*rules\s*\.\s*points\s*\]\]\s*(?:#.*)?$")
_HEAD = re.compile(r"^\s*\[")
# Fewer leads than this could point at people, and tell nothing.
MIN_CELL = 10
_SHOWN = ("auc", "log_loss", "lift_at_10")


def sheet_lines(audit: SheetAudit) -> list[str]:
    """Word how good the sheet is beside the model, what each tier held, and what history says of each rule."""
    newer = "newer than what was learned from" if audit.is_time else "in folds: NOT TIME-VALIDATED"
    lines = [f"The points sheet and the model on the same {audit.n_test:,} test rows, {newer}", ""]
    lines.append(f"{'':34} {'AUC':>20} {'log loss':>9} {'lift in top 10 %':>17}")
    beside = {"model": audit.model, "points sheet": audit.sheet, "with the proposed points": audit.fitted}
    for name, measured in beside.items():
        lines.append(_measured_line(name, measured))
    if audit.linear_auc is not None:
        lines.append(f"{'the linear part of the model alone':34} {audit.linear_auc:>20.3f}")
    lines += ["", "What each tier promised and held (90 % intervals)"]
    for row in audit.tiers.to_dict("records"):
        least = f"from {row['least_points']:g} points" if row["least_points"] == row["least_points"] else "below"
        held = f"{row['rate']:.1%} ({row['low']:.1%}-{row['high']:.1%})" if row["leads"] else "none"
        promised = f"{row['promised']:.1%}" if row["promised"] == row["promised"] else "nothing"
        lines.append(
            f"  {row['tier']:8} {least:16} {row['leads']:>8,.0f} leads, promised {promised:>8}, converted {held}"
        )
    lines += [
        "",
        "Who they are (A best) by what they did (1 best): leads, and which of them converted",
        *_grid_lines(audit),
    ]
    width = min(max(len(rule.name) for rule in audit.rules), 40)
    lines += ["", f"  {'rule':{width}} {'points':>7} {'leads':>8} {'lift (90 %)':>20} {'proposed':>9}"]
    lines += [_rule_line(rule, width) for rule in audit.rules]
    lines += ["", "Write the proposed points into the config for you to look at: propensity rules fit"]
    return lines


def _grid_lines(audit: SheetAudit) -> list[str]:
    cells = {(row["fit"], row["engagement"]): row for row in audit.grid.to_dict("records")}
    lines = [f"  {'':2}{''.join(f'{engagement:>16}' for engagement in '1234')}"]
    for fit in "ABCD":
        row = [cells[fit, engagement] for engagement in "1234"]
        told = [f"{one['leads']:,.0f} ({one['rate']:.0%})" if one["leads"] >= MIN_CELL else "few" for one in row]
        lines.append(f"  {fit:2}{''.join(f'{one:>16}' for one in told)}")
    return lines


def _measured_line(name: str, measured: Measured | None) -> str:
    if measured is None:
        return f"{name:34} points could not be mapped to probability: too few conversions"
    auc, loss, lift = (measured.metrics[key] for key in _SHOWN)
    return f"{name:34} {f'{auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f})':>20} {loss.value:>9.4f} {lift.value:>17.2f}"


def _rule_line(rule: RuleAudit, width: int) -> str:
    lift = f"{rule.lift:.2f} ({rule.low:.2f}-{rule.high:.2f})" if rule.n_leads else ""
    proposed = "" if rule.proposed is None else str(rule.proposed)
    flags = f"  {'; '.join(rule.flags)}" if rule.flags else ""
    return f"  {rule.name[:40]:{width}} {rule.points:>7g} {rule.n_leads:>8,.0f} {lift:>20} {proposed:>9}{flags}"


def sheet_json(audit: SheetAudit) -> dict[str, Any]:
    """Give the audit as plain JSON values."""

    def plain(value: float | None) -> float | None:
        return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN

    return {
        "model": audit.model.to_dict(),
        "sheet": None if audit.sheet is None else audit.sheet.to_dict(),
        "fitted": None if audit.fitted is None else audit.fitted.to_dict(),
        "linear_auc": audit.linear_auc,
        "is_time": audit.is_time,
        "tiers": [
            {key: value if isinstance(value, str) else plain(value) for key, value in row.items()}
            for row in audit.tiers.to_dict("records")
        ],
        "grid": [
            {key: value if isinstance(value, str) else plain(value) for key, value in row.items()}
            for row in audit.grid.to_dict("records")
        ],
        "rules": [
            {
                "name": rule.name,
                "points": rule.points,
                "leads": rule.n_leads,
                "rate": plain(rule.rate),
                "lift": plain(rule.lift),
                "low": plain(rule.low),
                "high": plain(rule.high),
                "flags": [*rule.flags],
                "proposed": rule.proposed,
            }
            for rule in audit.rules
        ],
    }


def text_with_points(text: str, points: Sequence[Mapping[str, float] | None]) -> str:
    r"""Give the text of a config with other points and caps, the old ones in a comment beside them.

    Parameters
    ----------
    text : str
        Of a config whose rules stand one a ``[[rules.points]]`` block.
    points : sequence of mapping or None
        A rule each, in their order: what ``points`` and ``cap`` become; None for a rule that stays.

    Raises
    ------
    ConfigError
        The rules do not stand so.

    Examples
    --------
    >>> print(text_with_points('[[rules.points]]\nname = "demo"\npoints = 30', [{"points": 12}]))
    [[rules.points]]
    name = "demo"
    points = 12  # was 30
    """
    lines, found, inside = [], -1, False
    written: set[tuple[int, str]] = set()
    for line in text.split("\n"):
        if _BLOCK.match(line):
            found, inside = found + 1, True
        elif _HEAD.match(line):
            inside = False
        wanted = points[found] if inside and found < len(points) else None
        key = next((key for key in wanted or {} if re.match(rf"^\s*{key}\s*=", line)), None)
        if wanted is not None and key is not None:
            old = line.split("=", 1)[1].split("#")[0].strip()
            new = f"{wanted[key]:g}"
            written.add((found, key))
            lines.append(line if float(old) == wanted[key] else f"{line.split('=', 1)[0]}= {new}  # was {old}")
            continue
        lines.append(line)
    asked = {(i, key) for i, one in enumerate(points) for key in one or {}}
    if found + 1 != len(points) or not asked <= written:
        msg = "The rules of the config do not stand one a [[rules.points]] block with its points. Write them so first."
        raise ConfigError(msg)
    return "\n".join(lines)


def text_with_rules(text: str, rules: Sequence[Mapping[str, Any]], *, without: Collection[int] = ()) -> str:
    r"""Give the text of a config with rules added behind its own.

    Parameters
    ----------
    text : str
    rules : sequence of mapping
        Settings of one ``[[rules.points]]`` block each.
    without : collection of int
        Blocks left out, counted from 0: those that the new ones take the place of.

    Examples
    --------
    >>> print(text_with_rules('[[rules.points]]\nname = "old"\n', [{"name": "new"}], without=[0]))
    <BLANKLINE>
    [[rules.points]]
    name = "new"
    <BLANKLINE>
    """
    kept, found, inside = [], -1, False
    for line in text.rstrip("\n").split("\n"):
        if _BLOCK.match(line):
            found += 1
            inside = found in without
        elif _HEAD.match(line):
            inside = False
        if not inside:
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    blocks = [
        ["", "[[rules.points]]", *(f"{key} = {toml_value(value)}" for key, value in rule.items())] for rule in rules
    ]
    # Behind the section [rules] and its own, wherever those stand: a table may not be opened twice, an entry may.
    return "\n".join([*kept, *(line for block in blocks for line in block)]) + "\n"
