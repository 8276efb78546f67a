"""The only place that lays the report out: one page that opens anywhere, drawn from what a bundle remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from propensity.evaluation import CHANCE, HEADERS
from propensity.metrics import p_in_words
from propensity.reporting.explorer import Explorer
from propensity.reporting.pages import environment, script_json
from propensity.reporting.record import recorded_tables
from propensity.reporting.settings import toml_value
from propensity.schema import MQL, NURTURE, SQL

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from propensity.bands import Frontier
    from propensity.model import PropensityModel

# Where more leads than this go to sales, nothing was sorted out.
MANY = 0.5
# An AUC without any order.
GUESSING = 0.5
# Lines a table of the page shows; the CSV that training leaves holds all.
MAX_LINES = 40
BESIDE_EXPECTED = ("leads", "expected", "converted", "converted / expected")
PREDICTORS = {
    "model": "the model",
    "rules": "the points sheet, same leads",
    "constant": "the past base rate for everyone",
    "random split": "the model on a random split",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text: what stands in its head, and its lines."""

    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    n_left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    name : str
        Its id.
    title : str
    sentences : sequence of str
        What to see in it; where there is nothing to see, why.
    figure : Markup or None
    table : Table or None
        What is drawn, for those who read.
    """

    name: str
    title: str
    sentences: Sequence[str]
    figure: Markup | None = None
    table: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """A lead as the page shows one: by a code, never by name."""

    code: str
    probability: str
    fit: float
    behaviour: float
    reasons: tuple[str, ...]
    scored_by: str


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Leads to look at, a dozen a band, `among` which they are the best; `why` says why there are none."""

    by_band: Mapping[str, Sequence[Card]] = field(default_factory=dict)
    as_of: str = ""
    among: str = ""
    why: str = ""


def report_page(model: PropensityModel, *, cards: Cards | None = None) -> str:
    """Write the report of a model as one HTML page that asks nothing of a network.

    Parameters
    ----------
    model : PropensityModel
        With a record, as training leaves it; without one the page says so.
    cards : Cards or None
        Leads scored today.

    Returns
    -------
    str
    """
    record = {"tables": {}, "metrics": {}, **(model.record or {})}
    tables = recorded_tables(record)
    frontier = model.learned.frontier if model.learned is not None else None
    is_by_value = bool(model.agreement.get("value_column"))
    explorer = None if frontier is None or not len(frontier.thresholds) or is_by_value else Explorer(frontier=frontier)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            model=model,
            verdict=_verdict(model, record),
            tiles=_tiles(model, record, tables),
            agreed=_agreed(model, tables),
            explorer=None if explorer is None else _explorer(explorer, model),
            is_by_value=is_by_value,
            sections=[*_worth(record, tables), *_truth(model, tables), *_where(record, tables)],
            audit=_audit(record),
            cards=cards or Cards(why="No leads were given to be shown."),
            bands=(SQL, MQL, NURTURE),
            provenance=_provenance(model),
        )
    )


def run_note(model: PropensityModel, *, has_reports: bool) -> str:
    """Say in a few lines of Markdown what a run found, for the page of a tracking server.

    Parameters
    ----------
    model : PropensityModel
    has_reports : bool
        Whether report and card lie among the run's artifacts.

    Returns
    -------
    str
    """
    record = {"tables": {}, "metrics": {}, **(model.record or {})}
    verdict = _verdict(model, record)
    lines = [f"**{verdict['word']}.** {verdict['said']}"]
    agreed = _agreed(model, recorded_tables(record))
    if agreed is not None:
        per = "leads a week" if model.learned and model.learned.bands.leads_per_week is not None else "leads"
        lines += ["", f"| band | probability | {per} | promise | stands? |", "|---|---|---|---|---|"]
        names = ("band", "threshold", "volume", "promise", "stands")
        lines += [f"| {' | '.join(str(line[name]) for name in names)} |" for line in agreed["lines"]]
    if has_reports:
        lines += [
            "",
            "Under Artifacts: `reports/report.html` to look at, `reports/card.md` for what it cannot promise.",
        ]
    return "\n".join(lines)


def _headline(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the figures of the headline rows; nothing where nothing was measured."""
    metrics = record["metrics"]
    return metrics.get("time") or metrics.get("folds") or {}


def _range(figure: Mapping[str, Any], form: str = ".0%") -> str:
    """Write a figure with its 95 % interval."""
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if not _is_known(value):
        return "unknown"
    if not (_is_known(low) and _is_known(high)):
        return f"{figure['value']:{form}}"
    return f"{figure['value']:{form}} ({figure['low']:{form}} to {figure['high']:{form}})"


def _is_known(value: float | None) -> bool:
    return value is not None and value == value  # noqa: PLR0124 - not NaN


def _rows(table: pd.DataFrame) -> list[Any]:
    """Give the rows of a table, each with its cells by name."""
    return [*table.itertuples()]


def _ratio(row: Any) -> str:
    """Write what converted over what was expected, with its interval."""
    return _range({"value": row.oe, "low": row.low, "high": row.high}, ".2f")


def _beside_expected(row: Any) -> tuple[str, str, str, str]:
    """Write the cells of a month or a segment that go under `BESIDE_EXPECTED`."""
    return f"{row.leads:,.0f}", f"{row.expected:,.1f}", f"{row.converted:,.1f}", _ratio(row)


def _figures(own: pd.DataFrame, name: str) -> dict[str, Any]:
    """Give one figure of the table of metrics, with its interval."""
    return {str(key): value for key, value in own.loc[name].to_dict().items()}


def _unmeasured(model: PropensityModel) -> dict[str, str]:
    if not model.facts:
        said = "There is no model: the points rules say who is worth a call. Train one: propensity train."
        return {"kind": "none", "word": "No model yet", "said": said}
    if model.verdict == "rules_only":
        said = "Too few leads have converted to learn from, so the points rules answer."
        return {"kind": "none", "word": "No model yet", "said": said}
    said = "This bundle remembers nothing of its training: train again to see how good it is."
    return {"kind": "none", "word": "Not known", "said": said}


def _beside_rules(model: Mapping[str, Any], sheet: Mapping[str, Any] | None) -> tuple[str, bool]:
    """Say how the model ranks beside the points sheet, and whether it looks better."""
    if sheet is None or not _is_known(sheet["value"]):
        return " There is no points sheet to compare it with.", True
    said = f" Your points sheet gets {_range(sheet)}:"
    if _is_known(model["low"]) and _is_known(sheet["high"]) and model["low"] > sheet["high"]:
        return f"{said} the model is surely better.", True
    if model["value"] > sheet["value"]:
        return f"{said} the model looks better, but these leads are too few to prove it.", True
    return f"{said} the model is not better than that.", False


def _verdict(model: PropensityModel, record: Mapping[str, Any]) -> dict[str, str]:
    """Say in one sentence whether the model is worth anything, with its numbers."""
    test = _headline(record)
    if not test:
        return _unmeasured(model)
    unit = "rows (a lead seen on several dates is several rows)" if "leads" in model.facts else "leads"
    seen = "newer than any it learned from" if "time" in record["metrics"] else "that it never saw"
    if not _is_known(test["auc"]["value"]):
        said = f"Of {test['rows']:,} {unit} {seen}, all or none converted: that tells nothing of the order of leads."
        return {"kind": "none", "word": "Not known", "said": said}
    ranks = f"a lead that buys is put above one that does not in {_range(test['auc'])} of pairs; guessing gets 50%"
    where = f"On {test['rows']:,} {unit} {seen}, {ranks}."
    if model.verdict != "skill":
        low = test["auc"]["low"]
        why = (
            "That looks better than guessing, but over all tests its probabilities are not surely worth more than that"
            if _is_known(low) and low > GUESSING
            else "That is not surely better than guessing"
        )
        said = f"{where} {why}: the points rules answer until that changes."
        return {"kind": "bad", "word": "Do not use it yet", "said": said}
    against, is_better = _beside_rules(test["auc"], (record["metrics"].get("rules") or {}).get("auc"))
    if not model.facts.get("calibrated", True):
        against += " Its probabilities were off on these leads: trust the order, not the numbers."
    if not is_better:
        return {"kind": "bad", "word": "Not better than your rules", "said": where + against}
    if model.learned is not None and not model.learned.bands.sql_promise.certified:
        asked = model.learned.bands.sql_promise
        promise = (
            f" What SQLs were to convert at ({asked.rate:.0%}) is not proven yet: the {asked.n_leads:,} leads that "
            f"decide it prove no more than {asked.low:.0%}."
        )
        return {"kind": "none", "word": "Worth a trial", "said": where + against + promise}
    share = 0.0 if model.learned is None else model.learned.bands.sql_share
    many = f" But {share:.0%} of all leads would be SQL: ask for more of them than was agreed." if share > MANY else ""
    return {"kind": "good", "word": "Worth using", "said": where + against + many}


def _tiles(
    model: PropensityModel, record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> list[dict[str, str]]:
    """Give the few numbers that people ask for first."""
    learned = model.learned
    if learned is None or not tables:
        return []
    bands, found = learned.bands, tables["bands"].set_index("band")
    weekly = bands.leads_per_week
    sql, mql, nothing = found.loc[SQL], found.loc[MQL], found.loc[NURTURE]
    won = sql["converted"] + mql["converted"] + nothing["converted"]
    unit = "rows" if "leads" in model.facts else "leads"
    tiles = []
    if weekly is not None:
        tiles.append(
            {
                "value": f"{bands.sql_share * weekly:,.1f}",
                "what": "leads a week for sales (SQL)",
                "more": f"of {weekly:,.0f} that come in",
            }
        )
    else:
        tiles.append({"value": f"{bands.sql_share:.1%}", "what": "of leads go to sales (SQL)", "more": ""})
    if sql["leads"]:
        tiles.append(
            {
                "value": f"{sql['rate']:.0%}",
                "what": "of them became customers in the test",
                "more": f"{sql['low']:.0%} to {sql['high']:.0%}, {sql['leads']:,.0f} {unit} tested; of all "
                f"{_headline(record)['base_rate']:.0%}",
            }
        )
    if won:
        caught = (sql["converted"] + mql["converted"]) / won
        tiles.append(
            {
                "value": f"{caught:.0%}",
                "what": "of those who bought had been put in SQL or MQL",
                "more": f"{won:,.0f} {unit} of the test converted",
            }
        )
    months = tables.get("months")
    if months is not None and len(months):
        last = months.iloc[-1]
        tiles.append(
            {
                "value": f"{last['expected']:,.0f} → {last['converted']:,.0f}",
                "what": f"conversions expected and seen in {last['month']}",
                "more": "the newest month whose outcome is known",
            }
        )
    return tiles


def _agreed(model: PropensityModel, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    """Lay out what was agreed on, what is promised, and what the test showed."""
    if model.learned is None:
        return None
    bands, terms = model.learned.bands, model.agreement
    found = tables["bands"].set_index("band") if tables else None
    lines = []
    for band, promise, threshold, share in (
        (SQL, bands.sql_promise, bands.sql, bands.sql_share),
        (MQL, bands.mql_promise, bands.mql, bands.mql_share),
    ):
        own = terms.get(band.lower()) or {}
        said = (
            f"at least {promise.rate:.0%} of {SQL} convert"
            if band == SQL
            else f"at least {promise.rate:.0%} of conversions are in SQL or MQL"
        )
        stands = (
            f"certified: {promise.observed:.0%} observed, surely at least {promise.low:.0%}"
            if promise.certified
            else f"NOT CERTIFIED: {promise.observed:.0%} observed on {promise.n_leads:,} leads, "
            f"surely only {promise.low:.0%}"
        )
        test = ""
        if found is not None and found.loc[band]["leads"]:
            row = found.loc[band]
            test = f"{row['rate']:.0%} of {row['leads']:,.0f} ({row['low']:.0%} to {row['high']:.0%})"
        volume = f"{share:.1%} of leads" if bands.leads_per_week is None else f"{share * bands.leads_per_week:,.1f}"
        lines.append(
            {
                "band": band,
                "owner": str(own.get("owner", "")),
                "action": str(own.get("action", "")),
                "threshold": _from_to(threshold, 2.0 if band == SQL else bands.sql),
                "volume": volume,
                "promise": said,
                "stands": stands,
                "certified": promise.certified,
                "test": test,
            }
        )
    return {
        "lines": lines,
        "together": f"{bands.sql_share + bands.mql_share:.0%}",
        "confidence": f"{terms.get('confidence', 0.9):.0%}",
        "policy": bands.policy,
        "horizon": terms.get("horizon_days"),
        "conversion": terms.get("conversion", ""),
        "review_on": terms.get("review_on") or "",
    }


def _from_to(low: float, high: float) -> str:
    """Write the probabilities of a band."""
    if low > 1:
        return "nobody"
    return f"{low:.1%} and more" if high > 1 else f"{low:.1%} to {high:.1%}"


def _explorer(explorer: Explorer, model: PropensityModel) -> dict[str, Any]:
    """Give what the explorer starts with, and the data it goes on with."""
    frontier: Frontier = explorer.frontier
    terms, learned = model.agreement, model.learned
    assert learned is not None  # noqa: S101 - it has the frontier
    sql, mql = explorer.agreed()
    data = explorer.data() | {
        "agreed_precision": learned.bands.sql_promise.rate,
        "agreed_recall": learned.bands.mql_promise.rate,
        "capacity": terms.get("capacity_per_week"),
        "terms": _toml_lines(terms),
        "is_weekly": frontier.leads_per_week is not None,
        "value": terms.get("value_per_win") or None,
        "cost": terms.get("cost_per_contact") or None,
        # As it is said after a number: so many leads a week, so many of 1,000 leads.
        "per": "a week" if frontier.leads_per_week is not None else f"of {frontier.per}",
    }
    return {
        "data": script_json(data),
        "now": explorer.at(sql, mql),
        "data_": data,
        "last": len(frontier.thresholds) - 1,
    }


def _toml_lines(terms: Mapping[str, Any]) -> list[str]:
    """Write the terms that the explorer can change, as they are."""
    names = ("policy", "sql_precision", "mql_recall", "capacity_per_week", "value_per_win", "cost_per_contact")
    return [f"{name} = {toml_value(terms[name])}" for name in names if terms.get(name)]


def _figure(figure: Figure, name: str, label: str) -> Markup:
    from propensity.plotting import as_svg

    return Markup(as_svg(figure, name=name, label=label))  # noqa: S704 - our own figure; what it says is escaped


def _worth(record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[Section]:
    """Show whether the model is better than what there was."""
    from propensity import plotting

    if not tables:
        why = "Nothing was measured: there was too little to learn from, or the bundle is of an older version."
        return [Section(name="worth", title="Is it better than what you have?", sentences=[why])]
    test, random = _headline(record), record["metrics"].get("random")
    metrics = tables["metrics"]
    wanted = {"auc": ".3f", "log_loss": ".4f", "ece": ".4f", "lift_at_10": ".2f"}
    lines = []
    for predictor, words in PREDICTORS.items():
        own = metrics[metrics["predictor"] == predictor].set_index("figure")
        if len(own):
            cells = [_range(_figures(own, name), form) if name in own.index else "" for name, form in wanted.items()]
            lines.append((words, *cells))
    rows = [
        Section(
            name="worth",
            title="Is it better than what you have?",
            sentences=[
                "Each dot is how often a lead that buys is put above one that does not (0.5 is guessing), on the very "
                "same leads; the line is its 95 % interval. Where lines do not touch, that is surely not chance.",
                *(
                    []
                    if record["metrics"].get("rules")
                    else ["There is no points sheet, so nothing to compare with but guessing."]
                ),
            ],
            figure=_figure(
                plotting.plot_comparison(tables), "comparison", "AUC of model, random split and points sheet"
            ),
            table=Table(
                head=("", "AUC", "log loss (less is better)", "calibration error", "lift in the top 10 %"),
                lines=tuple(lines),
            ),
        )
    ]
    title = "Why not a random test?" if random else "Was it tested on the future?"
    if not random:
        said = f"{HEADERS['folds']}. Nothing says how it does on newer leads than it learned from: name a date column."
    elif not (_is_known(random["auc"]["value"]) and _is_known(test["auc"]["value"])):
        said = "Of the rows it was tested on all or none converted, so the two tests cannot be held side by side."
    else:
        gap = random["auc"]["value"] - test["auc"]["value"]
        said = (
            f"Tested on a random split the same model would look like {random['auc']['value']:.3f} instead of "
            f"{test['auc']['value']:.3f}{', which flatters it' if gap > 0 else ''}. A random split lets a model see "
            "the future; what you will get is what newer leads showed."
        )
    return [*rows, Section(name="random", title=title, sentences=[said])]


def _truth(model: PropensityModel, tables: Mapping[str, pd.DataFrame]) -> list[Section]:
    """Show whether probabilities come true, and what order is worth."""
    from propensity import plotting

    if not tables or model.learned is None:
        return []
    own = tables["metrics"][tables["metrics"]["predictor"] == "model"].set_index("figure")
    oe, chance = (_figures(own, name) for name in ("oe", "consistency_p"))
    is_chance = _is_known(chance["value"]) and chance["value"] >= CHANCE
    if not model.facts.get("calibrated", True):
        calibrated = "So trust the order of leads, not the probabilities."
    elif is_chance:
        calibrated = "That can be chance, so there is no reason to doubt the probabilities."
    else:
        calibrated = "That is more than chance, but so little that the probabilities can be used."
    percents = {name: None if oe[name] is None else 100 * oe[name] for name in ("value", "low", "high")}
    reliability, gain, scores = tables["reliability"], tables["gain"], tables["scores"]
    found = {round(100 * row.share): row for row in _rows(gain)}
    return [
        Section(
            name="reliability",
            title="Do the probabilities come true?",
            sentences=[
                f"For every 100 conversions that were expected {_range(percents, '.0f')} came. The grey band is what "
                "a perfect model would show by chance; chance alone is as far off with "
                f"{p_in_words(chance['value'])}. {calibrated}"
            ],
            figure=_figure(plotting.plot_reliability(tables), "reliability", "conversion rate against probability"),
            table=Table(
                head=("probability", "converted", "chance allows", "leads"),
                lines=tuple(
                    (f"{row.probability:.1%}", f"{row.rate:.1%}", f"{row.low:.1%} to {row.high:.1%}", f"{row.leads:,}")
                    for row in _rows(reliability)
                ),
            ),
        ),
        Section(
            name="gain",
            title="What if sales calls only the best?",
            sentences=[
                f"The top 10 % of leads convert {found[10].lift:.2f} times as often as all and hold "
                f"{found[10].found:.0%} of conversions; the top 30 % hold {found[30].found:.0%}."
            ],
            figure=_figure(plotting.plot_gain(tables), "gain", "conversions found by share of leads called"),
            table=Table(
                head=("leads called, best first", "conversions found", "lift"),
                lines=tuple(
                    (f"{row.share:.0%}", f"{row.found:.1%}", f"{row.lift:.2f}")
                    for percent, row in found.items()
                    if percent % 10 == 0 or percent in {1, 5}
                ),
            ),
        ),
        Section(
            name="scores",
            title="Where the thresholds cut",
            sentences=[
                "Grey are the leads that did not convert, coloured those that did. The further apart the two are, the "
                "easier it is to draw a line between them."
            ],
            figure=_figure(plotting.plot_scores(tables, model.learned.bands), "scores", "probabilities by outcome"),
            table=Table(
                head=("probability", "converted", "did not"),
                lines=tuple(
                    (f"{row.low:.1%} to {row.high:.1%}", f"{row.converted:,}", f"{row.not_converted:,}")
                    for row in _rows(scores)
                    if row.converted or row.not_converted
                ),
            ),
        ),
    ]


def _where(record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[Section]:
    """Show when and for whom the model was right, and what moves it."""
    from propensity import plotting

    if not tables:
        return []
    sections = []
    months, segments = tables.get("months"), tables.get("segments")
    if months is not None and len(months):
        off = [str(row.month) for row in _rows(months) if row.is_off]
        said = (
            f"Chance does not explain {', '.join(off)}: there more or fewer converted than was expected."
            if off
            else "No month is off by more than chance explains."
        )
        sections.append(
            Section(
                name="months",
                title="When was it right?",
                sentences=[f"Each month was scored by a model that knew only what came before. {said}"],
                figure=_figure(plotting.plot_months(months), "months", "expected and seen conversions by month"),
                table=Table(
                    head=("month", *BESIDE_EXPECTED),
                    lines=tuple(
                        (
                            str(row.month),
                            *_beside_expected(row),
                        )
                        for row in _rows(months)
                    ),
                ),
            )
        )
    else:
        why = "The leads have no dates, so there are no months to look at."
        sections.append(Section(name="months", title="When was it right?", sentences=[why]))
    if segments is not None and len(segments):
        judged = segments.sort_values("leads", ascending=False, kind="stable")
        n_off = int(segments["is_off"].sum())
        said = (
            f"{n_off} of {len(segments)} segments are off by more than chance explains: they are named first."
            if n_off
            else f"No segment of {len(segments)} is off by more than chance explains; small ones may hide it."
        )
        judged = judged.sort_values("is_off", ascending=False, kind="stable")
        sections.append(
            Section(
                name="segments",
                title="For whom is it right?",
                sentences=[said],
                table=Table(
                    head=("column", "segment", *BESIDE_EXPECTED),
                    lines=tuple(
                        (
                            str(row.column),
                            f"{row.segment}{' (off)' if row.is_off else ''}",
                            *_beside_expected(row),
                        )
                        for row in _rows(judged.head(MAX_LINES))
                    ),
                    n_left_out=max(0, len(judged) - MAX_LINES),
                ),
            )
        )
    sections += [*_groups(tables.get("groups")), *_moving(record, tables)]
    return sections


def _groups(table: pd.DataFrame | None) -> list[Section]:
    """Hold the groups side by side that people named to be looked at."""
    if table is None or not len(table):
        return []
    said = (
        "How many of each group are called SQL, and whether as many converted as was expected. It was named to be "
        "looked at (evaluation.audit_groups); nothing was corrected by it. Groups differ in more than their name: "
        "people decide."
    )
    lines = tuple(
        (
            str(row.column),
            str(row.group),
            f"{row.leads:,}",
            _range({"value": row.sql_share, "low": row.sql_low, "high": row.sql_high}, ".1%"),
            _ratio(row),
        )
        for row in _rows(table)
    )
    head = ("column", "group", "test rows", "called SQL", "converted / expected")
    return [Section(name="groups", title="How do groups fare?", sentences=[said], table=Table(head=head, lines=lines))]


def _moving(record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[Section]:
    """Show what moves scores, and how points go with what leads have."""
    import pandas as pd

    from propensity import plotting

    importance = pd.DataFrame(record.get("importance") or [])
    if not len(importance):
        return []
    by_family = importance.groupby("family")["share"].sum()
    who, did = by_family.get("fit", 0.0), by_family.get("behaviour", 0.0)
    return [
        Section(
            name="importance",
            title="What moves scores?",
            sentences=[
                f"Who a lead is makes up {who:.0%} of what moves scores, what it did {did:.0%}. A bar is how many "
                "percentage points a reason moves a lead by on average; the line is its 90 % interval over leads."
            ],
            figure=_figure(plotting.plot_importance(importance), "importance", "mean size of each reason"),
            table=Table(
                head=("reason", "family", "points a lead", "share"),
                lines=tuple(
                    (
                        str(row.group),
                        "who they are" if row.family == "fit" else "what they did",
                        _range({"value": row.points, "low": row.low, "high": row.high}, ".2f"),
                        f"{row.share:.1%}",
                    )
                    for row in _rows(importance.head(MAX_LINES))
                ),
                n_left_out=max(0, len(importance) - MAX_LINES),
            ),
        ),
        *_going_with(tables.get("dependence")),
    ]


def _going_with(table: pd.DataFrame | None) -> list[Section]:
    if table is None or not len(table):
        return []
    names = ", ".join(str(name) for name in table["column"].unique()[:3])
    return [
        Section(
            name="dependence",
            title="Which values help, and how much?",
            sentences=[
                f"The points that leads get for what they have, column by column, the strongest first ({names} ...). "
                "Nine in ten leads with that value lie in the range: the rest of a lead matters too. It is what goes "
                "together in the past, not what a change would bring about."
            ],
            table=Table(
                head=("column", "value", "rows", "points", "nine in ten between"),
                lines=tuple(
                    (
                        str(row.column),
                        str(row.value),
                        f"{row.leads:,}",
                        f"{row.points:+.2f}",
                        f"{row.low:+.2f} to {row.high:+.2f}",
                    )
                    for row in _rows(table)
                ),
            ),
        )
    ]


def _audit(record: Mapping[str, Any]) -> dict[str, Any]:
    """List what was set aside or is to be looked at, with what it would have been worth, and what to mend."""
    told = [one for one in record.get("audit") or [] if one["verdict"] not in {"OK", ""}]
    order = {"QUARANTINE": 0, "REVIEW": 1}
    told.sort(key=lambda one: order.get(one["verdict"], 2))
    words = {"QUARANTINE": "left out", "REVIEW": "used, to be looked at", "UNUSED": "not used"}
    lines = tuple(
        (str(one["column"]), words.get(one["verdict"], str(one["verdict"]).lower()), str(one["evidence"]))
        for one in told
    )
    left_out = [str(one["column"]) for one in told if one["verdict"] == "QUARANTINE"]
    return {
        "said": (
            f"Left out, because known only once a lead has ended: {', '.join(left_out)}. With that the model would "
            "look better than it is."
            if left_out
            else "No leak was found: no column knows how a lead ends before it does."
        ),
        "table": Table(
            head=("column", "what was done", "why, and its price"),
            lines=lines[:MAX_LINES],
            n_left_out=max(0, len(lines) - MAX_LINES),
        ),
        "flaws": [
            f"{flaw['column']}: {flaw['sentence']}" if flaw["column"] else str(flaw["sentence"])
            for flaw in record.get("flaws") or []
        ],
        "warnings": [str(warning) for warning in record.get("warnings") or []],
    }


def _provenance(model: PropensityModel) -> list[tuple[str, str]]:
    """Say what the model is made of, so that it can be made again."""
    facts = model.facts
    counted = f"{facts.get('rows', 0):,} rows" + (f" of {facts['leads']:,} leads" if "leads" in facts else "")
    told = {
        "model": model.version,
        "learned from": f"{counted}, {facts.get('positives', 0):,} conversions",
        "a conversion is": str(facts.get("target_means", "")),
        "records up to": str(facts.get("data_end", ""))[:10] or "no dates",
        "data digest": str(facts.get("data_digest", ""))[:16],
        "config digest": str(facts.get("config_digest", ""))[:16],
        "to make it again": "propensity train with the same files, propensity.toml and seed, at any number of threads",
    }
    return [(name, value) for name, value in told.items() if value]
