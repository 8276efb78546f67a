from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flat_leads import DATED, config, leads, run
from propensity.errors import InputError
from propensity.training import out_of_fold_blocks, prepare, splits


def test_order_in_the_file_is_time_where_it_is_said_to_be() -> None:
    ordered = config(columns={"ordered": True})
    frame = leads()
    examples = prepare(frame, ordered).examples
    assert examples.leads["Lead"].to_list() == frame["Lead"].to_list()
    found, is_time = splits(examples, ordered)
    assert is_time
    newest = found[-1]
    assert newest.test.tolist() == list(range(480, 600))  # the newest fifth
    assert newest.past.max() == 479
    assert run(frame, ordered).evaluation.kind == "time"  # type: ignore[union-attr]


def test_dates_order_rows_and_one_day_is_never_divided() -> None:
    frame = leads().sample(frac=1, random_state=0)
    examples = prepare(frame, DATED).examples
    created = pd.to_datetime(examples.leads["Created"])
    assert created.is_monotonic_increasing
    found, is_time = splits(examples, DATED)
    assert is_time
    for split in found:
        assert created.iloc[split.past].max() < created.iloc[split.test].min()


def test_without_time_folds_judge_and_every_lead_is_judged_once() -> None:
    examples = prepare(leads(), config()).examples
    assert examples.order is None
    found, is_time = splits(examples, config())
    assert not is_time
    assert np.sort(np.concatenate([split.test for split in found])).tolist() == list(range(600))
    folds = run(leads())
    assert folds.evaluation is not None
    assert (folds.evaluation.kind, folds.evaluation.random) == ("folds", None)
    assert folds.evaluation.headline.n_rows == 600


def test_accounts_stay_on_one_side_of_every_split() -> None:
    for settings in (config(columns={"group": "Account"}), config(columns={"group": "Account", "date": "Created"})):
        examples = prepare(leads(), settings).examples
        for split in splits(examples, settings)[0]:
            accounts = examples.leads["Account"].to_numpy()
            assert not {*accounts[split.past]} & {*accounts[split.test]}


def test_the_users_folds_judge_whatever_the_dates_say() -> None:
    frame = leads().assign(Fold=[f"fold {i % 3}" for i in range(600)])
    settings = config(columns={"date": "Created"}, evaluation={"fold_column": "Fold"})
    examples = prepare(frame, settings).examples
    found, is_time = splits(examples, settings)
    assert not is_time
    assert [{*examples.leads["Fold"].iloc[split.test]} for split in found] == [{"fold 0"}, {"fold 1"}, {"fold 2"}]
    blocks = out_of_fold_blocks(examples, seed=0)
    assert (blocks.n_blocks, blocks.is_time) == (3, False)
    assert run(frame, settings).model.verdict == "skill"


def test_one_fold_for_all_is_as_good_as_none() -> None:
    settings = config(evaluation={"fold_column": "Fold"})
    examples = prepare(leads().assign(Fold="a"), settings).examples
    assert len(splits(examples, settings)[0]) == 5
    assert out_of_fold_blocks(examples, seed=0).n_blocks == 5


def test_folds_that_hold_one_outcome_are_refused() -> None:
    frame = leads()
    with pytest.raises(InputError, match="too few leads of one outcome"):
        run(frame.assign(Fold=np.where(frame["Won"] == 1, "a", "b")), config(evaluation={"fold_column": "Fold"}))


def test_one_account_for_all_leads_is_refused() -> None:
    with pytest.raises(InputError, match="too few leads of one outcome"):
        run(leads().assign(Account="acme"), config(columns={"group": "Account"}))


def test_one_instant_for_all_is_no_order() -> None:
    judged = run(leads().assign(Created="2025-06-01"), DATED)
    assert judged.evaluation is not None
    assert judged.evaluation.kind == "folds"
    assert judged.model.learned is not None


def test_an_origin_too_early_to_learn_from_is_left_out() -> None:
    # Five origins start at 40, 50, 60, 70 and 80 % of 500 rows; conversions begin at row 230.
    frame = leads(500)
    frame.loc[:229, "Won"] = 0
    settings = config(columns={"ordered": True}, evaluation={"origins": 5})
    found, is_time = splits(prepare(frame, settings).examples, settings)
    assert is_time
    assert [split.test[0] for split in found] == [300, 350, 400]


def test_without_ids_rows_are_numbered_and_equal_rows_stay_on_one_side() -> None:
    anonymous = config(columns={"id": None})
    frame = pd.concat([leads(400), leads(400)], ignore_index=True)
    examples = prepare(frame, anonymous).examples
    assert len(examples.y) == 800  # equal rows are kept
    for split in splits(examples, anonymous)[0]:
        rows = [tuple(row) for row in examples.read.itertuples(index=False)]
        assert not {rows[i] for i in split.past} & {rows[i] for i in split.test}
    assert run(frame, anonymous).model.schema.id is None
