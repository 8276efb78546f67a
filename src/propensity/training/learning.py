"""The only place for what is fitted on one past: everything between read values and bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from propensity.bands import Bands, Deal, Frontier, agreed_deal, fit_bands, trace_frontier
from propensity.calibration import Calibrator, fit_calibrator
from propensity.config import Config
from propensity.encoding import fit_encoder
from propensity.folds import Blocks, Split
from propensity.learners import (
    HALF_LIVES,
    STRENGTH,
    Blend,
    Candidate,
    Learners,
    MayGoOn,
    Recipe,
    Stability,
    calibrator_moves,
    choose_half_life,
    deal,
    fit_stability,
    is_sure,
    kinds_for,
    margin_loss,
    scale_of,
    weigh_constraints,
)
from propensity.model import Learned
from propensity.rules import Rules
from propensity.schema import Schema
from propensity.training.correction import fit_shifts
from propensity.training.pasts import Pasts, aged
from propensity.training.race import Race, judged
from propensity.training.rows import Examples, Prepared
from propensity.training.splitting import MIN_POSITIVES, can_learn, forward_split, has_both, out_of_fold_blocks
from propensity.training.timebound import MIN_TIME_SHARE, time_share
from propensity.training.tuning import tune_recipe


def learn(
    examples: Examples,
    prepared: Prepared,
    config: Config,
    *,
    pasts: Pasts | None = None,
    with_ranges: bool = False,
    tune: Callable[[], MayGoOn] | None = None,
) -> Learned:
    """Fit everything between read values and bands on these rows alone.

    Out-of-fold margins of all blocks but the last choose the recipe, correct segments and propose the thresholds, those
    of the last certify them, so no row judges itself; all of them fit the calibrator that ships, and the recipe is
    trained on all rows. Scores are held to the directions asked for, unless the blocks that choose the recipe say that
    it costs.

    Parameters
    ----------
    examples : Examples
    prepared : Prepared
    config : Config
    pasts : Pasts or None
        What was fitted before, on rows of the same whole; None for nothing.
    with_ranges : bool
        Measure too how far scores move from one training to the next, and what other thresholds would bring.
    tune : callable () -> callable (trials made) -> bool, or None
        Search for settings of boosted trees on the blocks that choose the recipe. Called when the search begins; what
        it gives says whether another trial may.

    Returns
    -------
    Learned
    """
    # Where nothing was fitted before, these rows are the whole, whatever they were taken from.
    examples = examples if pasts is not None else replace(examples, place=None)
    learner, y = config.learner, examples.y
    pasts = Pasts(examples, learner) if pasts is None else pasts
    blocks = out_of_fold_blocks(examples, seed=learner.seed)
    chain = [blocks.split(block, examples.groups) for block in range(blocks.n_blocks)]
    race = Race(examples=examples, schema=prepared.schema, pasts=pasts)
    if blocks.is_time and len(chain) > 1:
        race = _lasting(race, chain[:-1])
    kinds = kinds_for(float((examples.weights * y).sum()))
    is_judged = np.zeros(len(y), dtype=bool)
    is_judged[judged(chain)[0]] = True
    of_row, last = blocks.of_row, blocks.n_blocks - 1
    before, newest = is_judged & (of_row < max(last, 1)), is_judged & (of_row == last)
    weight = examples.weights
    # Folds of leads cannot see drift. Where rows have a time but too few different ones for blocks, the newest cutoff,
    # taught by those before it, is what tells whether boosted trees last.
    ahead = None if blocks.is_time else forward_split(examples)
    chosen_on = before if ahead is None else ahead.test

    def outcome(race: Race) -> tuple[Race, Recipe, dict[Candidate, np.ndarray], np.ndarray]:
        """Give the recipe with what it was chosen from, and its margins of the rows that chose it."""
        parts = race.run(chain, kinds=kinds)
        raced = parts if ahead is None else race.run([ahead], kinds=kinds)
        recipe = race.choose(raced, of_row, on=chosen_on)
        return race, recipe, parts, recipe.margin(raced)[chosen_on]

    race, recipe, parts, free = outcome(race)
    monotone = None
    asked = {name: prepared.directions[name] for name in race.schema.names if name in prepared.directions}
    if asked:
        held = outcome(replace(race, directions=asked))
        monotone = weigh_constraints(
            held[-1], free, y[chosen_on], directions=asked, block=of_row[chosen_on], weight=weight[chosen_on]
        )
        if monotone.is_held:
            race, recipe, parts, _ = held
    if tune is not None:
        recipe, parts = tune_recipe(
            recipe, parts, race, block=of_row, on=chosen_on, chain=chain, ahead=ahead, seed=learner.seed, begin=tune
        )
    margin = recipe.margin(parts)
    learners = race.learners(np.arange(len(y)))
    matrix = learners.encoder.encode(examples.read)
    # Where older rows count less, models have followed what moved by themselves: a shift would answer for it twice.
    shifts = (
        None
        if race.half_life is not None
        else fit_shifts(
            margin,
            examples,
            matrix,
            encoder=learners.encoder,
            schema=race.schema,
            block=of_row,
            # A single block certifies, so it corrects nothing.
            used=before & (of_row < last),
            is_time=blocks.is_time,
        )
    )
    margin = margin if shifts is None else margin + shifts.margin(matrix)
    earlier, calibrator = (_calibrator(margin, examples, blocks, seen) for seen in (before, is_judged))
    # Margins that ranked the wrong way round before the last block are not set right by it.
    calibrator = calibrator if earlier.slope > 0 else earlier
    proposed, shipped = earlier.probability(margin), calibrator.probability(margin)
    value = _worth(examples, config)
    bands = fit_bands(
        proposed[before],
        proposed[newest],
        y[newest],
        agreement=config.agreement,
        base_rate=float(np.average(y, weights=weight)),
        leads_per_week=prepared.leads_per_week,
        n_positive=round(float((weight * y).sum())),
        is_time=blocks.is_time,
        leads=None if examples.weight is None else examples.groups[newest],
        deal=_deal(examples, config),
        values=None if value is None else (value[before], value[newest]),
    )
    # Both keep the order of margins, so the thresholds part the same leads and their promises stand.
    bands = bands.moved(proposed[is_judged], shipped[is_judged])
    blend = replace(learners.blend(recipe), shifts=shifts)
    learned = Learned(encoder=learners.encoder, blend=blend, calibrator=calibrator, bands=bands, monotone=monotone)
    if not with_ranges:
        return learned

    def recalibrated(left: np.ndarray) -> tuple[float, float]:
        again = _calibrator(margin, examples, blocks, is_judged, left=left)
        return again.slope, again.intercept

    moves = calibrator_moves(recalibrated, examples.groups[is_judged], seed=learner.seed)
    return replace(
        learned,
        stability=_stability(learned, examples, matrix, config, calibration=moves),
        frontier=_frontier(bands, shipped, examples, newest, config),
    )


def _deal(examples: Examples, config: Config) -> Deal | None:
    return agreed_deal(config.agreement, examples.leads, missing=config.data.missing)


def _worth(examples: Examples, config: Config) -> np.ndarray | None:
    """Give what a win of each row's lead would bring; None where all have the common value, or none was agreed on."""
    deal = _deal(examples, config)
    return None if deal is None else deal.values(examples.leads)


def _frontier(bands: Bands, probability: np.ndarray, examples: Examples, rows: np.ndarray, config: Config) -> Frontier:
    """Count what other thresholds would have brought, on the rows that certified these."""
    value = _worth(examples, config)
    return trace_frontier(
        probability[rows],
        examples.y[rows],
        sql=bands.sql,
        mql=bands.mql,
        leads_per_week=bands.leads_per_week,
        delta=(1 - config.agreement.confidence) / 2,
        leads_per_rep=config.agreement.leads_per_rep,
        deal=_deal(examples, config),
        value=None if value is None else value[rows],
        leads=None if examples.weight is None else examples.groups[rows],
    )


def _calibrator(
    margin: np.ndarray, examples: Examples, blocks: Blocks, rows: np.ndarray, *, left: np.ndarray | float = 1.0
) -> Calibrator:
    """Calibrate out-of-fold margins of some rows, whose weights `left` multiplies."""
    return fit_calibrator(
        margin[rows],
        examples.y[rows],
        blocks.of_row[rows],
        period=None if blocks.periods is None else blocks.periods[rows],
        weight=examples.weights[rows] * left,
    )


def _lasting(race: Race, chain: Sequence[Split]) -> Race:
    """Choose by the cheap blend how fast older rows lose weight, then whether columns bound to time stay."""
    examples, (rows, block) = race.examples, judged(chain)
    y, weight = examples.y[rows], examples.weights[rows]
    quick = {half_life: replace(race, half_life=half_life).quick(chain) for half_life in (None, *HALF_LIVES)}
    race = replace(race, half_life=choose_half_life(quick, y, block=block, weight=weight))
    bound = time_bound(examples, race.schema)
    kept = tuple(column for column in race.schema.columns if column.name not in bound)
    if not bound or not kept:
        return race
    without = replace(race, schema=replace(race.schema, columns=kept))
    before, after = (margin_loss(margin, y, weight=weight) for margin in (quick[race.half_life], without.quick(chain)))
    return without if is_sure(before - after, block) else race


def time_bound(examples: Examples, schema: Schema) -> dict[str, float]:
    """Give the features that tell when a lead came rather than who it is, with how much of the order they explain."""
    if examples.order is None:
        return {}
    matrix = fit_encoder(examples.read, schema).encode(examples.read)
    shares = time_share(matrix, examples.order)
    return {name: float(share) for name, share in zip(schema.names, shares, strict=True) if share >= MIN_TIME_SHARE}


def _stability(
    learned: Learned,
    examples: Examples,
    matrix: np.ndarray,
    config: Config,
    *,
    calibration: tuple[float, float, float],
) -> Stability | None:
    """Measure how far the shipped blend moves when other leads of the same past teach it."""
    recipe, linear = learned.blend.recipe, learned.blend.linear
    if linear is None:
        return None
    weight = aged(examples, recipe.half_life)
    scale = _scale(learned, examples, matrix, config, weight=weight) if recipe.forest_share else 1.0
    return fit_stability(
        matrix,
        examples.y,
        linear=linear,
        strength=STRENGTH,
        groups=examples.groups,
        weight=weight,
        scale=scale,
        calibration=calibration,
    )


def _scale(
    learned: Learned, examples: Examples, matrix: np.ndarray, config: Config, *, weight: np.ndarray | None
) -> float:
    """Train the recipe on two thirds of the leads, each alone, and see how far they differ on the last one.

    Rows that taught would not do: trees follow them.
    """
    third, y, learner = deal(examples.groups, 3, seed=config.learner.seed), examples.y, config.learner
    if not all(can_learn(y[third == k]) for k in range(2)):
        return 1.0

    def taught_by(rows: np.ndarray) -> Blend:
        learners = Learners(
            lambda: matrix[rows],
            y[rows],
            encoder=learned.encoder,
            max_trees=learner.max_trees,
            max_depth=learner.max_depth,
            seed=learner.seed,
            weight=None if weight is None else weight[rows],
            directions=learned.directions,
        )
        return learners.blend(learned.blend.recipe)

    one, other = taught_by(third == 0), taught_by(third == 1)
    unseen = matrix[third == 2]
    lines = [blend.linear.margin(unseen) for blend in (one, other) if blend.linear is not None]
    return scale_of((one.margin(unseen), other.margin(unseen)), (lines[0], lines[1]))


def fit_points_calibrator(rules: Rules, examples: Examples) -> Calibrator | None:
    """Map points to probability on history; None without rules or with fewer than 40 conversions."""
    if not rules.rules or not has_both(examples.y, MIN_POSITIVES):
        return None
    blocks = out_of_fold_blocks(examples, seed=0)
    return _calibrator(rules.margin(rules.score(examples.leads).points), examples, blocks, blocks.of_row >= 0)
