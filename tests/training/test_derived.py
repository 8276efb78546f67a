from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from propensity import Tables, predict, save_model, train
from propensity.config import parse_config
from propensity.storage.bundles import load_bundle
from propensity.training import prepare

CONFIG = parse_config(
    {
        "data": {"leads": "l.csv"},
        "columns": {"target": "Won"},
        "features": {"derive": {"Title": "title", "Size": "range", "Email": "email"}},
        "learner": {"max_trees": 10, "max_depth": 3},
    }
)


def leads(n_leads: int = 400) -> pd.DataFrame:
    """Directors of large firms buy; raw fields alone say it, as CRMs write them."""
    rng = np.random.default_rng(0)
    senior, large = rng.random(n_leads) < 0.5, rng.random(n_leads) < 0.5
    odds = np.exp(-2 + 2 * senior + 2 * large)
    return pd.DataFrame(
        {
            "Title": np.where(senior, "Director of sales", "Sales assistant"),
            "Size": np.where(large, "1,000-5,000", "1-10"),
            "Email": [f"person{i}@{'gmail.com' if i % 3 else 'firm.example'}" for i in range(n_leads)],
            "Won": np.where(rng.random(n_leads) < odds / (1 + odds), "yes", "no"),
        }
    )


def test_a_flat_file_may_have_nothing_but_raw_fields() -> None:
    prepared = prepare(leads(), CONFIG)
    assert prepared.schema.names == ("Title seniority", "Size number", "Email domain")
    assert prepared.notes["Email given"] == "every value is the same"


def test_scores_derive_what_training_derived_and_no_address_is_kept(tmp_path: Path) -> None:
    table = leads()
    bundle = save_model(train(Tables(leads=table), CONFIG).model, tmp_path / "bundle")
    scored = predict(table, model=load_bundle(bundle))
    assert {*scored["scored_by"]} == {"model"}
    assert scored["probability"].nunique() > 3
    texts = [path.read_text() for path in bundle.iterdir()]
    assert not any("firm.example" in text or "gmail" in text for text in texts)
