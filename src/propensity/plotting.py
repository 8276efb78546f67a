"""The only place that draws: figures as values, from tables that others computed."""

from __future__ import annotations

import re
import warnings
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from propensity.metrics import p_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from propensity.bands import Bands, Frontier
    from propensity.encoding import Encoder
    from propensity.explanations import Explanation
    from propensity.monitoring import Watch
    from propensity.training.curve import Curve

LABEL_CHARACTERS = 40
INK, MODEL, OTHER, BAND = "#222222", "#1f6f8b", "#c8553d", "#d9d9d9"
_PAGE_COLOURS = {INK: "ink", MODEL: "model", OTHER: "other", BAND: "band", "#000000": "ink", "#ffffff": "paper"}


def _axes(title: str, x: str, y: str, *, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _figure(tables: Mapping[str, pd.DataFrame], name: str, predictor: str = "model") -> Any:
    """Give one figure of the table of metrics, with its interval: ``value, low, high``."""
    metrics = tables["metrics"]
    return next(metrics[(metrics["predictor"] == predictor) & (metrics["figure"] == name)].itertuples())


def plot_reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw conversion rate against probability, with the band a perfect model would stay in 95 % of the time.

    Parameters
    ----------
    tables : mapping of name to DataFrame
        As `Evaluation.tables` gives them; here and in the plots below.
    """
    table, oe, chance = tables["reliability"], _figure(tables, "oe"), _figure(tables, "consistency_p")
    figure, axes = _axes(
        "Do probabilities come true? Dots in the grey band do, as far as chance can tell.\n"
        f"O/E {oe.value:.2f} ({oe.low:.2f}-{oe.high:.2f}); by chance alone: {p_in_words(chance.value)}",
        "probability (mean of a tenth of leads)",
        "converted",
    )
    top = 1.05 * max(table["probability"].max(), table["rate"].max(), table["high"].max())
    axes.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle=":")
    axes.fill_between(table["probability"], table["low"], table["high"], color=BAND, label="perfectly calibrated, 95 %")
    axes.plot(table["probability"], table["rate"], "o-", color=MODEL, label="this model")
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    _percent(axes)
    axes.legend(frameon=False, loc="upper left")
    return figure


def plot_gain(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw which share of conversions the best-scored share of leads holds."""
    table = tables["gain"]
    lift = float(table.loc[(100 * table["share"]).round() == 10, "lift"].iloc[0])
    figure, axes = _axes(
        f"The top 10 % of leads convert {lift:.1f} times as often as all",
        "leads called, best first",
        "conversions found",
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="in random order")
    axes.plot(np.append(0, table["share"]), np.append(0, table["found"]), color=MODEL, label="in the model's order")
    axes.axvline(0.1, color=OTHER, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    _percent(axes)
    axes.legend(frameon=False, loc="lower right")
    return figure


def plot_scores(tables: Mapping[str, pd.DataFrame], bands: Bands) -> Figure:
    """Draw the probabilities of leads that converted and of those that did not, with the two thresholds."""
    table = tables["scores"]
    figure, axes = _axes("Where the two thresholds cut", "probability", "share of leads")
    for outcome, label, colour in (("not_converted", "did not convert", BAND), ("converted", "converted", MODEL)):
        share = table[outcome] / max(table[outcome].sum(), 1)
        width = table["high"] - table["low"]
        axes.bar(table["low"], share, width, align="edge", alpha=0.75, color=colour, label=label)
    end = table["high"].iloc[-1]
    if bands.sql <= 1:
        end = max(end, 1.02 * bands.sql)
    axes.set_xlim(0, end)
    for threshold, name in ((bands.mql, "MQL"), (bands.sql, "SQL")):
        if threshold <= end:
            axes.axvline(threshold, color=OTHER, linewidth=1)
            axes.text(threshold, 1.0, f" {name}", color=OTHER, transform=axes.get_xaxis_transform(), va="top")
    _percent(axes)
    axes.legend(frameon=False, loc="upper right")
    return figure


def plot_comparison(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the AUC of model, random split and rules side by side, with their intervals."""
    names = {"model": "model", "random split": "model, on a random split", "rules": "points sheet"}
    measured = {*tables["metrics"]["predictor"]}
    shown = [(names[one], _figure(tables, "auc", one)) for one in names if one in measured]
    title = "Model, random split and rules on leads they never saw"
    figure, axes = _axes(title, "AUC (0.5 is guessing)", "", height=2.2 + 0.45 * len(shown))
    for i, (_, auc) in enumerate(reversed(shown)):
        axes.plot([auc.low, auc.high], [i, i], color=MODEL, linewidth=2)
        axes.plot(auc.value, i, "o", color=MODEL)
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    return figure


def plot_learning_curve(curve: Curve) -> Figure:
    """Draw log loss against the conversions that taught, and what twice the history is expected to bring."""
    found = [level.loss for level in curve.levels]
    taught = np.array([level.size for level in curve.levels]) * curve.positives
    value, low, high = (np.array([getattr(loss, name) for loss in found]) for name in ("value", "low", "high"))
    gain = curve.next_gain
    title = "No extrapolation" if gain is None else f"Twice the history: {-gain.value:+.4f}"
    figure, axes = _axes(f"Would more leads help? {title}", "conversions that taught", "log loss, smaller is better")
    axes.errorbar(taught, value, [value - low, high - value], fmt="o", color=MODEL, label="on rows it never saw")
    axes.axhline(curve.constant_loss, color=INK, linewidth=0.8, linestyle=":", label="base rate for everyone")
    if curve.law is not None:
        a, b, c = curve.law
        size = np.geomspace(curve.levels[0].size, 2.0, 60)
        axes.plot(size * curve.positives, a + b * size**-c, color=MODEL, linewidth=0.8)
    axes.axvline(curve.positives, color=OTHER, linewidth=0.8)
    axes.text(curve.positives, 0.0, " now", color=OTHER, transform=axes.get_xaxis_transform(), va="bottom")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda at, _position: f"{at:,.0f}")
    axes.legend(loc="lower left", edgecolor="none")
    return figure


def plot_frontier(frontier: Frontier) -> Figure:
    """Draw how well called leads convert against how many are called, with the agreed points marked."""
    table = frontier.table()
    figure, axes = _axes(
        "What would another threshold bring?\nFewer leads convert better; the marked points are what was agreed on",
        f"leads called, of a {frontier.per}" if frontier.leads_per_week is None else "leads called a week",
        "of them converted",
    )
    axes.fill_between(table["volume"], table["low"], table["high"], color=BAND, label="between its exact bounds")
    axes.plot(table["volume"], table["precision"], color=MODEL, label="precision")
    axes.plot(
        table["volume"], table["recall"], color=INK, linewidth=0.8, linestyle="--", label="of all conversions found"
    )
    for _, point in table[table["agreed"] != ""].iterrows():
        axes.plot(point["volume"], point["precision"], "o", color=OTHER)
        axes.annotate(
            f"{'SQL' if point['agreed'] == 'SQL' else 'SQL and MQL'}: {point['volume']:,.1f}, {point['precision']:.0%}",
            (point["volume"], point["precision"]),
            xytext=(6, 8) if point["agreed"] == "SQL" else (-60, 10),
            textcoords="offset points",
            color=OTHER,
        )
    axes.set_ylim(0, 1.05)
    axes.set_xlim(0, None)
    axes.yaxis.set_major_formatter(lambda at, _position: f"{at:.0%}")
    axes.legend(frameon=False, loc="center right")
    return figure


def plot_watch(watch: Watch) -> Figure:
    """Draw what bands converted at, and the evidence against each promise as outcomes became known."""
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    table = watch.bands[(watch.bands["source"] == "all") & (watch.bands["known"] > 0)]
    place = np.arange(len(table))
    rate = table["rate"].to_numpy()
    left.errorbar(
        place, rate, [rate - table["low"].to_numpy(), table["high"].to_numpy() - rate], fmt="o", color=MODEL, capsize=4
    )
    promised = next(one.rate for one in watch.promises if one.name == "SQL")
    left.axhline(promised, color=OTHER, linewidth=0.8, linestyle="--")
    left.text(len(table) - 0.6, promised, "promised of SQL", color=OTHER, va="bottom", ha="right")
    left.set_xticks(place, [f"{one.band}\n{one.known:,} known" for one in table.itertuples()])
    left.set_xlim(-0.6, max(len(table) - 0.4, 0.6))
    left.set_ylim(0, None)
    left.yaxis.set_major_formatter(lambda at, _position: f"{at:.0%}")
    left.set_title("What bands converted at, 90 % intervals", loc="left", fontsize=11, color=INK)
    for one, colour in zip(watch.promises, (MODEL, INK), strict=False):
        right.plot([at[:10] for at in one.looks], one.evidence, "o-", color=colour, markersize=3, label=one.name)
    right.axhline(20, color=OTHER, linewidth=0.8, linestyle="--")
    right.text(0, 20, " from here on a promise counts as broken", color=OTHER, va="bottom")
    right.set_yscale("log")
    right.set_ylim(bottom=min(0.05, *(w for one in watch.promises for w in (*one.evidence, 1.0))), top=100)
    right.tick_params(axis="x", rotation=45)
    right.set_title("Evidence against each promise", loc="left", fontsize=11, color=INK)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_importance(table: pd.DataFrame) -> Figure:
    """Draw how many points each reason moves scores by on average, who leads are apart from what they did."""
    shown = table.head(15)[::-1].reset_index(drop=True)
    figure, axes = _axes(
        "What moves scores\nMean size of each reason, with 90 % intervals over leads",
        "percentage points",
        "",
    )
    colours = [MODEL if family == "fit" else OTHER for family in shown["family"]]
    error = [shown["points"] - shown["low"], shown["high"] - shown["points"]]
    axes.barh(np.arange(len(shown)), shown["points"], xerr=error, color=colours, ecolor=INK, height=0.7, capsize=2)
    axes.set_yticks(np.arange(len(shown)), [*map(_drawable, shown["group"])])
    handles = [Patch(color=MODEL, label="who they are"), Patch(color=OTHER, label="what they did")]
    axes.legend(handles=handles, frameon=False, loc="lower right")
    return figure


def plot_beeswarm(explanation: Explanation, matrix: np.ndarray, encoder: Encoder) -> Figure:
    """Draw what moves scores, one dot a lead and feature, through shap's own plot. Categories are grey."""
    shap, plt = _shap_on_agg()
    coloured = matrix.copy()
    coloured[:, [*encoder.categorical]] = np.nan  # a code is no size: nothing to colour by
    figure: Figure = plt.figure(figsize=(8, 5))
    drawn = shap.Explanation(
        values=explanation.log_odds_parts,
        base_values=np.full(len(matrix), explanation.reference_log_odds),
        data=coloured,
        feature_names=[*map(_drawable, encoder.names)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # shap looks for colours where none are
        shap.plots.beeswarm(drawn, max_display=12, show=False, plot_size=None)
    figure.axes[0].set_xlabel("moves the calibrated log-odds (0: a typical nurture lead)")
    figure.tight_layout()
    plt.close(figure)
    return figure


def plot_waterfall(explanation: Explanation, row: int, *, names: Sequence[str], shown: Sequence[str]) -> Figure:
    """Draw how one lead's score comes about, through shap's own plot.

    Parameters
    ----------
    explanation : Explanation
    row : int
    names, shown : sequence of str
        Features, and the lead's values in words.
    """
    shap, plt = _shap_on_agg()
    plt.figure()
    drawn = shap.Explanation(
        values=explanation.log_odds_parts[row],
        base_values=explanation.reference_log_odds,
        data=np.array([*map(_drawable, shown)], dtype=object),
        feature_names=[*map(_drawable, names)],
    )
    shap.plots.waterfall(drawn, max_display=12, show=False)
    figure: Figure = plt.gcf()
    figure.set_size_inches(9, 5.5)
    figure.suptitle("From a typical nurture lead E[f(X)] to this lead f(x), in calibrated log-odds", fontsize=10)
    figure.tight_layout()
    plt.close(figure)
    return figure


def _drawable(text: str) -> str:
    """Shorten a name or value to what fits beside an axis: no formula signs, no letter the font lacks."""
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    short = text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1]}…"
    return "".join(sign if ord(sign) in glyphs else "□" for sign in short).replace("$", r"\$")


def _shap_on_agg() -> tuple[Any, Any]:
    """Load shap and pyplot for drawing without a screen."""
    import matplotlib.pyplot as plt
    import shap

    plt.switch_backend("Agg")
    return shap, plt


def _percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))


def as_svg(figure: Figure, *, name: str, label: str) -> str:
    """Write a figure as SVG for a page: text stays text, colours are the page's, so that they follow its theme.

    Parameters
    ----------
    figure : Figure
    name : str
        Of the figure on its page, letters alone: its ids begin with it.
    label : str
        What it shows, for those who cannot see it.

    Returns
    -------
    str
        An ``<svg>`` element that fills its place. The same for the same figure.
    """
    import io

    import matplotlib as mpl

    written = io.BytesIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = written.getvalue().decode()
    text = text[text.index("<svg") :]
    # What would style the rest of the page, or name fonts that are not the page's.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|; font-family: [^;\"]*", "", text, flags=re.DOTALL)
    for colour, variable in _PAGE_COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    size = re.compile(r'<svg [^>]*viewBox="([^"]+)"[^>]*>')
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    head = f'<svg class="figure" role="img" aria-label="{escape(label)}" viewBox="\\1" {spaces}>'
    return size.sub(head, text, count=1).strip()


def plot_months(table: pd.DataFrame) -> Figure:
    """Draw what was expected and what converted, month by month, with the range that chance allows.

    Parameters
    ----------
    table : DataFrame
        As `Evaluation.by_month` gives it.
    """
    figure, axes = _axes("Expected and seen, month by month", "", "share of leads that converted")
    place = np.arange(len(table))
    leads = table["leads"].to_numpy(dtype=float)
    expected, seen = (table[name].to_numpy(dtype=float) / leads for name in ("expected", "converted"))
    low, high = (table[name].to_numpy(dtype=float) * expected for name in ("low", "high"))
    axes.plot(place, expected, color=OTHER, linestyle="--", label="expected")
    axes.errorbar(
        place,
        seen,
        [np.clip(seen - low, 0, None), np.clip(high - seen, 0, None)],
        fmt="o",
        color=MODEL,
        label="converted, 95 %",
    )
    every = max(1, -(-len(table) // 12))
    axes.set_xticks(place[::every], [str(month) for month in table["month"]][::every], rotation=45, ha="right")
    axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(lambda at, _position: f"{at:.0%}")
    axes.legend(frameon=False, loc="best")
    return figure
