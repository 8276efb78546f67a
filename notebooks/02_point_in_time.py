# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Point in time, and why random splits lie
#
# One question: how good does a model look when it may peek, and how good is it on the leads that come next?
# The world is invented, so what came next is known.

# %%
# %matplotlib inline
import os
import tempfile
import warnings

import lightgbm as lgb
import numpy as np
import pandas as pd

import propensity
from propensity.config import parse_config
from propensity.metrics import auc, log_loss
from propensity.synthetic import invent_crm

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
N_LEADS = int(os.environ.get("PROPENSITY_NOTEBOOK_LEADS", "3000"))
crm = invent_crm(n_leads=N_LEADS)
today = crm.end - pd.Timedelta(days=90)
then = crm.until(today)

# %% [markdown]
# ## The usual way: the lead table as exported, and all events of each lead
#
# One row a lead. Whoever converted had months to visit pages *after* they had decided; the counters of today hold that.
# A random fifth of the leads is the test.

# %%
CONVERTED = then.leads["Lead ID"].isin(then.outcomes["lead_id"]).to_numpy(dtype=float)


def as_exported(crm_then) -> pd.DataFrame:
    """Counters and dates as they stand on the day of the export."""
    leads = crm_then.leads
    counts = crm_then.events.pivot_table(index="lead_id", columns="event_type", values="occurred_at", aggfunc="count")
    table = counts.reindex(leads["Lead ID"]).fillna(0).reset_index(drop=True).add_prefix("n ")
    for name in ("Industry", "Lead source", "Job title"):
        table[name] = leads[name].astype("category")
    return table


table = as_exported(then)
test = np.random.default_rng(0).random(len(table)) < 0.2
naive = lgb.LGBMClassifier(n_estimators=150, verbose=-1).fit(table[~test], CONVERTED[~test])
looks = auc(CONVERTED[test], naive.predict_proba(table[test])[:, 1])
print(f"AUC on a random fifth: {looks:.3f}")

# %% [markdown]
# ## What it is worth on the leads that are open today
#
# The same model scores the open leads by what is known of them today. Ninety days later it is known who bought.

# %%
open_leads = (CONVERTED == 0) & then.leads["Lead ID"].notna().to_numpy()
sold = pd.to_datetime(crm.outcomes["converted_at"])
later = then.leads["Lead ID"].isin(crm.outcomes["lead_id"][sold >= today]).to_numpy(dtype=float)[open_leads]
guess = naive.predict_proba(table[open_leads])[:, 1]
print(f"AUC on the leads that were open: {auc(later, guess):.3f}")
print(f"It promised {guess.sum():,.0f} conversions; {later.sum():,.0f} came.")

# %% [markdown]
# ## Rows as of a cutoff, tested in time
#
# Here a row is a lead *as it was known* at a cutoff, and it teaches only once its 90 days are over. The newest rows test
# what the older ones taught. A random split is shown beside it, for those who are used to one.

# %%
config = parse_config(
    {
        "data": {name: f"{name}.csv" for name in ("leads", "events", "outcomes", "field_history")}
        | {"extracted_at": today.isoformat()},
        "columns": {"id": "Lead ID", "date": "Created", "group": "Account", "fit": ["Industry", "Lead source"]},
        "labels": {"horizon_days": 90},
        "features": {"derive": {"Job title": "title"}},
        "learner": {"max_trees": 100},
    }
)
tables = propensity.Tables(
    leads=then.leads, events=then.events, outcomes=then.outcomes, field_history=then.field_history
)
run = propensity.train(tables, config)
metrics = run.evaluation.metrics_table()
metrics[metrics["figure"].isin(["auc", "oe"])]

# %%
leads = then.leads[open_leads].reset_index(drop=True)
scores = propensity.predict(
    leads, model=run.model, events=then.events, field_history=then.field_history, as_of=today.isoformat()
)
p = scores["probability"].to_numpy(dtype=float)
truth = crm.true_probability(leads["Lead ID"], pd.Series([today] * len(leads)), horizon_days=90)
pd.DataFrame(
    {
        "AUC where it was tested": [looks, run.evaluation.headline.metrics["auc"].value, np.nan],
        "AUC on the leads that were open": [auc(later, guess), auc(later, p), auc(later, truth)],
        "conversions promised": [guess.sum(), p.sum(), truth.sum()],
        "conversions that came": [later.sum()] * 3,
    },
    index=["as exported, random split", "as of each cutoff, in time", "the truth"],
).round(3)

# %% [markdown]
# The first line looks best where it was tested and is worst where it counts. The second says in advance about what it is
# worth. Nobody beats the last one: it knows the probability of each lead.
