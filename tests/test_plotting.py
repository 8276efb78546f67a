from __future__ import annotations

import io
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from propensity.bands import NOBODY, Bands, Promise
from propensity.encoding import CategoryCode, Encoder, NumberCode
from propensity.evaluation import Evaluation, Predictions, evaluate
from propensity.explanations import Explanation
from propensity.metrics import Interval
from propensity.plotting import (
    plot_beeswarm,
    plot_comparison,
    plot_gain,
    plot_importance,
    plot_learning_curve,
    plot_reliability,
    plot_scores,
    plot_waterfall,
)
from propensity.training.curve import Curve, Level

PROMISE = Promise(rate=0.5, certified=True, observed=0.5, low=0.4, n_leads=10, n_converted=5)
BANDS = Bands(
    sql=0.5,
    mql=0.25,
    policy="promise",
    sql_promise=PROMISE,
    mql_promise=PROMISE,
    sql_share=0.1,
    mql_share=0.2,
    leads_per_week=None,
)
NAMES = ("Industry", "Costs in $ and _x^2", "名前" + "x" * 500)


def predictions(*, has_rules: bool = True) -> Predictions:
    """A hundred leads, in tens of equal probability 0.05, 0.15 … 0.95, of which 1, 2 … 10 convert."""
    probability = np.repeat(np.linspace(0.05, 0.95, 10), 10)
    converted = np.concatenate([np.arange(10) < n for n in range(1, 11)])
    return Predictions(
        y=converted.astype(float),
        probability=probability,
        constant=np.full(100, 0.5),
        rules=1 - probability if has_rules else np.full(100, np.nan),
        band=BANDS.assign(probability),
        groups=np.arange(100),
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate([predictions()], kind="time", random=predictions(), seed=0)


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    parts = np.random.default_rng(0).normal(size=(60, 3))
    return Explanation(log_odds_parts=parts, points=10 * parts, reference_log_odds=-2.0, reference_probability=0.12)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    number = NumberCode(low=0.0, high=9.0, typical=3.0)
    return Encoder(names=NAMES, codes=(CategoryCode(levels=("retail",)), number, number))


def png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def assert_renders(figure: Figure) -> None:
    image = plt.imread(io.BytesIO(png(figure)), format="png")
    assert min(image.shape[:2]) > 300
    assert image[..., :3].std() > 0.01  # not a blank page
    assert plt.get_fignums() == []  # a figure is a value: no window keeps it


def test_reliability_shows_both_axes_alike_from_zero(evaluation: Evaluation) -> None:
    figure = plot_reliability(evaluation.tables())
    (axes,) = figure.axes
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[0] == 0
    # The sampling band of the last bin, 0.95 of ten leads, reaches 1.
    assert axes.get_xlim()[1] == pytest.approx(1.05)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("probability (mean of a tenth of leads)", "converted")
    found = evaluation.headline.calibration
    assert found.oe.value == pytest.approx(1.1)  # 55 converted of 50 expected
    title = axes.get_title(loc="left")
    assert f"O/E 1.10 ({found.oe.low:.2f}-{found.oe.high:.2f}); by chance alone: {found.p_words}" in title
    perfect, dots = (np.asarray(line.get_xydata(), dtype=float) for line in axes.lines)
    np.testing.assert_array_equal(perfect[:, 0], perfect[:, 1])
    np.testing.assert_allclose(dots[:, 0], np.linspace(0.05, 0.95, 10))
    np.testing.assert_allclose(dots[:, 1], np.linspace(0.1, 1.0, 10))
    assert_renders(figure)


def test_gain_starts_with_nobody_and_ends_with_everybody(evaluation: Evaluation) -> None:
    figure = plot_gain(evaluation.tables())
    (axes,) = figure.axes
    line = next(line for line in axes.lines if line.get_label() == "in the model's order")
    share, found = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    assert (share[0], found[0], share[-1], found[-1]) == (0, 0, 1, 1)
    assert (np.diff(found) >= 0).all()
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1.02))
    lift = evaluation.headline.metrics["lift_at_10"].value
    assert axes.get_title(loc="left") == f"The top 10 % of leads convert {lift:.1f} times as often as all"
    assert_renders(figure)


def test_scores_show_both_thresholds_by_name(evaluation: Evaluation) -> None:
    figure = plot_scores(evaluation.tables(), BANDS)
    (axes,) = figure.axes
    assert [text.get_text().strip() for text in axes.texts] == ["MQL", "SQL"]
    assert [line.get_xdata()[0] for line in axes.lines] == [0.25, 0.5]  # type: ignore[index]
    # Each group's bars are shares of that group.
    heights = [sum(bar.get_height() for bar in bars.patches) for bars in axes.containers]  # type: ignore[attr-defined]
    np.testing.assert_allclose(heights, [1, 1])
    assert_renders(figure)


def test_a_threshold_that_no_lead_can_reach_is_not_drawn(evaluation: Evaluation) -> None:
    figure = plot_scores(evaluation.tables(), replace(BANDS, sql=NOBODY))
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["MQL"]


def test_scores_may_hold_one_outcome_alone() -> None:
    none = replace(predictions(), probability=np.full(100, 1e-6))
    evaluation = evaluate([none], kind="time", random=None, seed=0)
    alone = replace(evaluation, test=replace(none, y=np.zeros(100)))
    assert_renders(plot_scores(alone.tables(), BANDS))


@pytest.mark.parametrize(
    ("kind", "has_random", "has_rules", "rows"),
    [
        ("time", True, True, ["points sheet", "model, on a random split", "model"]),
        ("time", True, False, ["model, on a random split", "model"]),
        ("folds", False, True, ["points sheet", "model"]),
    ],
)
def test_comparison_holds_what_was_measured(kind: str, has_random: bool, has_rules: bool, rows: list[str]) -> None:
    part = predictions(has_rules=has_rules)
    evaluation = evaluate(
        [part], kind="time" if kind == "time" else "folds", random=part if has_random else None, seed=0
    )
    figure = plot_comparison(evaluation.tables())
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == rows
    assert axes.get_xlabel() == "AUC (0.5 is guessing)"
    assert_renders(figure)


def test_importance_has_a_bar_a_group_the_largest_on_top() -> None:
    table = pd.DataFrame(
        {
            "group": ["all activity", "Job $title"],
            "family": ["behaviour", "fit"],
            "points": [4.0, 1.0],
            "low": [3.0, 0.5],
            "high": [5.0, 1.5],
            "share": [0.8, 0.2],
        }
    )
    axes = plot_importance(table).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [r"Job \$title", "all activity"]
    assert [bar.get_bbox().width for bar in axes.patches if isinstance(bar, Rectangle)] == [1.0, 4.0]


def test_beeswarm_has_one_row_a_feature_and_cuts_long_names(explanation: Explanation, encoder: Encoder) -> None:
    matrix = np.column_stack([np.ones(60), np.arange(60.0), np.full(60, np.nan)])
    kept = matrix.copy()
    figure = plot_beeswarm(explanation, matrix, encoder)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 3
    assert "Industry" in labels
    assert max(map(len, labels)) <= 41  # 40 letters, and a sign before the dollar
    assert figure.axes[0].get_xlabel() == "moves the calibrated log-odds (0: a typical nurture lead)"
    np.testing.assert_array_equal(matrix, kept)
    assert_renders(figure)


def test_waterfall_shows_the_lead_in_words_and_ends_at_its_log_odds(explanation: Explanation) -> None:
    figure = plot_waterfall(explanation, 7, names=NAMES, shown=("retail", "$5 to $7", "not given"))
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert any("retail" in label and "Industry" in label for label in labels)
    end = explanation.reference_log_odds + explanation.log_odds_parts[7].sum()
    texts = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert any(f"{end:.3f}".lstrip("-") in text for text in texts)
    assert_renders(figure)


def test_the_learning_curve_shows_each_level_and_where_we_are_now() -> None:
    shares = np.array([0.25, 0.5, 1.0])
    losses = 0.4 + 0.02 / shares
    curve = Curve(
        positives=100,
        months=None,
        levels=tuple(
            Level(share=share, size=share, loss=Interval(value=loss, low=loss - 0.01, high=loss + 0.01))
            for share, loss in zip(shares, losses, strict=True)
        ),
        constant_loss=0.6,
        next_gain=Interval(value=0.01, low=0.0, high=0.02),
        next_error=0.001,
        law=(0.4, 0.02, 1.0),
    )
    axes = plot_learning_curve(curve).axes[0]
    points, base, law, now = (np.asarray(line.get_xydata()) for line in axes.lines[:4])
    assert points[:, 0].tolist() == [25.0, 50.0, 100.0]
    assert base[0, 1] == 0.6
    assert law[-1] == pytest.approx([200.0, 0.41])
    assert now[0, 0] == 100
    assert "-0.0100" in axes.get_title(loc="left")
