"""The only place where forests and linear model become one margin, and where their shares are chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from propensity.learners.forest import ON_LINEAR, Forest, fit_forest
from propensity.learners.linear import LinearModel, fit_linear
from propensity.learners.parts import Parts
from propensity.learners.shifts import Shifts

if TYPE_CHECKING:
    from propensity.encoding import Encoder

LINEAR = "linear"
# A forest whose settings were searched for rather than chosen beforehand.
TUNED = "tuned"
TREE_COUNTS = (100, 200, 300)
# Inverse penalty: scikit-learn's 1 learns the noise of small files.
STRENGTH = 0.1
# Votes that are not earned: half for the linear model, half for the forests together. Shares chosen by loss alone
# follow the blocks they were chosen on too far.
EVEN_VOTES = 15
EARNED_VOTES = 15
# Kinds of forest that are raced. With fewer conversions, what differs between them is noise: only the steadiest runs.
RACED = ("small", "extra", ON_LINEAR)
STEADIEST = "shallow"
MIN_POSITIVES_RACE = 200

# A learner and its number of trees; 0 for the linear model.
Candidate = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search for settings of boosted trees found, and what became of it.

    Parameters
    ----------
    settings : mapping of LightGBM's name to number or bool
        Of the best trial; empty where none beat the kinds that are raced anyway.
    n_trials : int
    gain : float or None
        Log loss of the blend without, less that with them, in nats, on rows the search never read; None where there
        were no settings to judge.
    is_used : bool
        Whether that gain was sure, so that a forest of these settings takes part.
    """

    settings: Mapping[str, float]
    n_trials: int
    gain: float | None = None
    is_used: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give what was found as plain JSON values."""
        return {**asdict(self), "settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tuned:
        """Restore from `to_dict`.

        Raises
        ------
        ValueError
            It holds something else.
        """
        found = cls(**values)
        numbers = [*found.settings.values(), found.n_trials, 0.0 if found.gain is None else found.gain]
        if not all(isinstance(number, (int, float)) for number in numbers) or not isinstance(found.is_used, bool):
            msg = "what tuning found is not in numbers"
            raise ValueError(msg)
        return found


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained: the choices made on out-of-fold margins.

    Parameters
    ----------
    shares : mapping of learner to float in [0, 1]
        ``"linear"`` or a kind of forest; they sum to 1. Without a share a learner is not trained. The share of
        ``"on_linear"`` is of the linear model with that forest on top.
    n_trees : mapping of kind of forest to int
    half_life : float in (0, 1] or None
        After so great a share of the rows a row counts half; None: all alike.
    tuned : Tuned or None
        The settings of the ``"tuned"`` kind of forest; None where none were searched for.
    """

    shares: Mapping[str, float]
    n_trees: Mapping[str, int]
    half_life: float | None = None
    tuned: Tuned | None = None

    @property
    def forest_share(self) -> float:
        """What all forests together have. 0 means the linear model alone ships."""
        return float(sum(share for name, share in self.named() if name != LINEAR))

    def named(self) -> list[tuple[str, float]]:
        """Give the learners that have a share, in the one order in which they are added up."""
        return [(name, self.shares[name]) for name in sorted(self.shares) if self.shares[name] > 0]

    def weights(self) -> list[tuple[str, float]]:
        """Give what each learner's own margin is multiplied by, in the one order in which they are added up.

        The linear model counts wherever a forest stands on it, so weights can sum to more than 1.

        Examples
        --------
        >>> Recipe(shares={"on_linear": 0.25, "linear": 0.75}, n_trees={"on_linear": 100}).weights()
        [('linear', 1.0), ('on_linear', 0.25)]
        """
        of = dict(self.named())
        if ON_LINEAR in of:
            of[LINEAR] = of.get(LINEAR, 0.0) + of[ON_LINEAR]
        return sorted(of.items())

    def margin(self, margins: Mapping[Candidate, np.ndarray]) -> np.ndarray:
        """Blend the candidates' margins, as `Learners.margins` gives them, by their shares."""
        parts = [share * margins[name, self.n_trees.get(name, 0)] for name, share in self.named()]
        return np.asarray(np.sum(parts, axis=0))

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as plain JSON values; nothing of tuning where there was none."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "tuned"}
        values |= {"shares": dict(self.shares), "n_trees": dict(self.n_trees)}
        return values if self.tuned is None else {**values, "tuned": self.tuned.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Restore a recipe from `to_dict`."""
        tuned = {"tuned": Tuned.from_dict(values["tuned"])} if "tuned" in values else {}
        return cls(**{**values, **tuned})


@dataclass(frozen=True, kw_only=True)
class Blend:
    """One margin from several learners: their weighted sum in log-odds, which keeps contributions exact.

    Parameters
    ----------
    recipe : Recipe
    forests : mapping of kind to Forest
        Those with a share.
    linear : LinearModel or None
        None where it has no share and no forest stands on it.
    shifts : Shifts or None
        Added at weight 1: segments whose level was corrected; None where none was.
    """

    recipe: Recipe
    forests: Mapping[str, Forest]
    linear: LinearModel | None
    shifts: Shifts | None = None

    def _learners(self) -> Iterator[tuple[str, float, Forest | LinearModel | Shifts]]:
        for name, weight in self.recipe.weights():
            learner = self.linear if name == LINEAR else self.forests[name]
            if learner is not None:
                yield name, weight, learner
        if self.shifts is not None:
            yield "shifts", 1.0, self.shifts

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Give each row's margin in log-odds, shape (n_leads,)."""
        total = np.zeros(len(matrix))
        for _, weight, learner in self._learners():
            total += weight * learner.margin(matrix)
        return total

    def explain(self, matrix: np.ndarray) -> Parts:
        """Split each margin, as `margin` gives it to the bit, into one part a feature; exact to about 1e-7."""
        return self.explain_by_learner(matrix)[0]

    def explain_by_learner(self, matrix: np.ndarray) -> tuple[Parts, dict[str, tuple[float, np.ndarray]]]:
        """Explain as `explain` does, and tell what each learner says.

        Returns
        -------
        parts : Parts
        members : dict of learner to (float, array of float, shape (n_leads, n_features))
            Its share, and its own contributions: a forest that stands on the linear model together with that. Empty
            where there is one learner alone.
        """
        margin, contributions, base = np.zeros(len(matrix)), np.zeros(matrix.shape), 0.0
        own: dict[str, np.ndarray] = {}
        for name, weight, learner in self._learners():
            parts = learner.explain(matrix)
            margin += weight * parts.margin
            contributions += weight * parts.contributions
            base += weight * parts.base
            own[name] = parts.contributions
        shares = dict(self.recipe.named())
        if len(shares) == 1:
            return Parts(margin, contributions, base), {}
        members = {
            name: (share, own[name] + own[LINEAR] if name == ON_LINEAR else own[name]) for name, share in shares.items()
        }
        return Parts(margin, contributions, base), members

    def lightgbm_contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Give the contributions with the trees' by LightGBM: slow, and what `explain` is held against."""
        total = np.zeros(matrix.shape)
        for _, weight, learner in self._learners():
            if isinstance(learner, Forest):
                total += weight * learner.lightgbm_contributions(matrix)[0]
            else:
                total += weight * learner.explain(matrix).contributions
        return total


class Learners:
    """The learners of one past: each is fitted when it is first asked for, and kept.

    Parameters
    ----------
    matrix : callable () -> array of float, shape (n_past, n_features)
        Makes the rows that teach, once a learner: a past that is kept for later holds none.
    y : array of {0, 1}, shape (n_past,)
    encoder : Encoder
    max_trees : int
        Of all forests of a blend together.
    max_depth, seed : int
    weight : array of float or None, shape (n_past,)
    directions : sequence of {-1, 0, 1}, shape (n_features,) or (0,)
        Which numbers every margin must rise with (1) or fall with (-1). As shares are not negative, so does a blend.
    """

    def __init__(
        self,
        matrix: Callable[[], np.ndarray],
        y: np.ndarray,
        *,
        encoder: Encoder,
        max_trees: int,
        max_depth: int,
        seed: int,
        weight: np.ndarray | None = None,
        directions: Sequence[int] = (),
    ) -> None:
        self.encoder = encoder
        self._matrix, self._y, self._weight = matrix, y, weight
        self._max_trees, self._max_depth, self._seed = max_trees, max_depth, seed
        self._directions = directions
        self._forests: dict[tuple[str, str], tuple[int, Forest]] = {}

    @cached_property
    def linear(self) -> LinearModel:
        """The linear model; both outcomes must be there."""
        return fit_linear(
            self._matrix(),
            self._y,
            encoder=self.encoder,
            strength=STRENGTH,
            weight=self._weight,
            directions=self._directions,
        )

    def forest(self, kind: str, n_trees: int, *, settings: Mapping[str, object] | None = None) -> Forest:
        """Give a forest. Trees are grown one after the other, so a larger one holds it.

        Parameters
        ----------
        kind : str
        n_trees : int
        settings : mapping or None
            Of the ``"tuned"`` kind.
        """
        key = kind, repr(sorted((settings or {}).items()))
        n_kept, kept = self._forests.get(key, (0, None))
        if kept is None or n_kept < n_trees:
            kept = self.grow(kind, n_trees, settings=settings)
            self._forests[key] = n_trees, kept
        return kept.first(n_trees)

    def grow(self, kind: str, n_trees: int, *, settings: Mapping[str, object] | None = None) -> Forest:
        """Fit a forest that is not kept: one trial of many."""
        matrix = self._matrix()
        return fit_forest(
            matrix,
            self._y,
            categorical=self.encoder.categorical,
            n_trees=n_trees,
            max_depth=self._max_depth,
            seed=self._seed,
            kind=kind,
            settings=settings,
            weight=self._weight,
            start=self.linear.margin(matrix) if kind == ON_LINEAR else None,
            directions=self._directions,
        )

    def counts(self, n_kinds: int) -> list[int]:
        """Give the numbers of trees that are tried where so many kinds of forest take part."""
        return sorted({max(1, min(n, self._max_trees // n_kinds)) for n in TREE_COUNTS})

    def margins(
        self, test: np.ndarray, *, kinds: Collection[str] = RACED, settings: Mapping[str, object] | None = None
    ) -> dict[Candidate, np.ndarray]:
        """Give every candidate's margins of test rows.

        Parameters
        ----------
        test : array of float, shape (n_test, n_features)
            From `encoder`.
        kinds : collection of str
            Of forests. See `kinds_for`.
        settings : mapping or None
            Of the ``"tuned"`` kind.

        Returns
        -------
        dict of candidate to array of float, shape (n_test,)
            With one outcome in the past, all are its log-odds after adding one half to each count.
        """
        counts = self.counts(len(kinds))
        if self._is_constant:
            won = self._y.sum()
            constant = np.full(len(test), np.log((won + 0.5) / (len(self._y) - won + 0.5)))
            return dict.fromkeys([(LINEAR, 0), *((kind, n) for kind in kinds for n in counts)], constant)
        margins: dict[Candidate, np.ndarray] = {(LINEAR, 0): self.linear.margin(test)}
        for kind in kinds:
            forest = self.forest(kind, counts[-1], settings=settings if kind == TUNED else None)
            start = margins[LINEAR, 0] if kind == ON_LINEAR else 0.0
            margins |= {(kind, n): start + forest.margin(test, n_trees=n) for n in counts}
        return margins

    def even_margin(self, test: np.ndarray) -> np.ndarray:
        """Give the even blend of the linear model and the quickest forest: cheap enough to try how rows should count.

        Parameters
        ----------
        test : array of float, shape (n_test, n_features)

        Returns
        -------
        array of float, shape (n_test,)
        """
        if self._is_constant:
            return np.zeros(len(test))
        forest = self.forest(STEADIEST, max(1, min(TREE_COUNTS[1], self._max_trees)))
        return np.asarray((forest.margin(test) + self.linear.margin(test)) / 2)

    def blend(self, recipe: Recipe) -> Blend:
        """Give the blend of a recipe; learners without a share are not fitted."""
        weights = dict(recipe.weights())
        settings = {TUNED: recipe.tuned.settings} if recipe.tuned is not None else {}
        return Blend(
            recipe=recipe,
            forests={
                kind: self.forest(kind, recipe.n_trees[kind], settings=settings.get(kind))
                for kind in weights
                if kind != LINEAR
            },
            linear=self.linear if LINEAR in weights else None,
        )

    @property
    def _is_constant(self) -> bool:
        return len(np.unique(self._y)) < 2


def kinds_for(n_positive: float) -> tuple[str, ...]:
    """Give the kinds of forest worth racing on so many conversions.

    Examples
    --------
    >>> kinds_for(199), kinds_for(200)
    (('shallow',), ('small', 'extra', 'on_linear'))
    """
    return RACED if n_positive >= MIN_POSITIVES_RACE else (STEADIEST,)


def choose_recipe(
    margins: Mapping[Candidate, np.ndarray], y: np.ndarray, *, block: np.ndarray, weight: np.ndarray | None = None
) -> Recipe:
    """Choose trees and shares by log loss on out-of-fold margins.

    Each kind of forest gets the number of trees with the least loss. After some even votes, learners are voted for one
    vote at a time, each for the one that lowers the loss of the blend most (Caruana and others, ICML 2004). Where that
    blend does not beat the linear model by more than the standard error of the gain, the linear model ships: it drifts
    less.

    Parameters
    ----------
    margins : mapping of candidate to array of float, shape (n_rows,)
        As `Learners.margins` gives them.
    y : array of {0, 1}, shape (n_rows,)
    block : array of int, shape (n_rows,)
        Out-of-fold block of each row.
    weight : array of float or None, shape (n_rows,)

    Returns
    -------
    Recipe
    """

    def loss(margin: np.ndarray) -> np.ndarray:
        return margin_loss(margin, y, weight=weight)

    kinds = sorted({name for name, _ in margins} - {LINEAR})
    losses = {(kind, n): loss(margins[kind, n]).mean() for kind, n in margins}
    n_trees = {kind: min((losses[name, n], n) for name, n in losses if name == kind)[1] for kind in kinds}
    learners = {LINEAR: margins[LINEAR, 0], **{kind: margins[kind, n_trees[kind]] for kind in kinds}}
    votes = {LINEAR: EVEN_VOTES / 2, **dict.fromkeys(kinds, EVEN_VOTES / 2 / len(kinds))}
    total = np.sum([votes[name] * margin for name, margin in learners.items()], axis=0)
    for n_votes in range(EVEN_VOTES + 1, EVEN_VOTES + EARNED_VOTES + 1):
        after = {name: loss((total + margin) / n_votes).mean() for name, margin in learners.items()}
        best = min((lost, name) for name, lost in after.items())[1]
        votes[best] += 1
        total = total + learners[best]
    if not is_sure(loss(learners[LINEAR]) - loss(total / sum(votes.values())), block):
        return Recipe(shares={LINEAR: 1.0}, n_trees={})
    shares = {name: n / sum(votes.values()) for name, n in votes.items()}
    return Recipe(shares=shares, n_trees=n_trees)


def margin_loss(margin: np.ndarray, y: np.ndarray, *, weight: np.ndarray | None = None) -> np.ndarray:
    """Give each row's log loss of a margin, in nats, weighed so that the mean over rows is the weighted mean.

    Examples
    --------
    >>> margin_loss(np.array([0.0, 0.0]), np.array([1, 0]), weight=np.array([3.0, 1.0])).round(3).tolist()
    [1.04, 0.347]
    """
    scale = 1.0 if weight is None else weight / weight.mean()
    return np.asarray(scale * (np.logaddexp(0, margin) - y * margin))


def is_sure(gain: np.ndarray, block: np.ndarray) -> bool:
    """Say whether a mean gain exceeds its standard error, over rows and over blocks.

    A gain in one month and a loss in the next is no gain, however many rows there are.
    """
    return bool(gain.mean() > gain_error(gain, block))


def gain_error(gain: np.ndarray, block: np.ndarray) -> float:
    """Give the standard error of a mean gain: the larger of that over rows and that over blocks.

    Examples
    --------
    >>> gain_error(np.array([2.0, 2.0, 0.0, 0.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    error = gain.std() / np.sqrt(len(gain))
    by_block = np.array([gain[block == b].mean() for b in np.unique(block)])
    if len(by_block) > 1:
        error = max(error, by_block.std(ddof=1) / np.sqrt(len(by_block)))
    return float(error)
