# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Five minutes with propensity
#
# One question: what does a score of this package hold, and how far can it be believed?
# Everything here is invented, so the truth is known and can be compared.

# %%
# %matplotlib inline
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import propensity
from propensity.config import parse_config
from propensity.metrics import auc, log_loss
from propensity.synthetic import invent_crm

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
N_LEADS = int(os.environ.get("PROPENSITY_NOTEBOOK_LEADS", "3000"))

# %% [markdown]
# ## A CRM: leads, what they did, who bought
#
# The lead table says what is so today. The event log says what was known when. Let us stand 90 days before the end
# of the data, with the tables as they were then; what came after is for judging.

# %%
crm = invent_crm(n_leads=N_LEADS)
today = crm.end - pd.Timedelta(days=90)
then = crm.until(today)
print(f"{len(then.leads):,} leads, {len(then.events):,} events, {len(then.outcomes):,} conversions")
then.events.head(3)

# %%
then.leads.drop(columns=["First name", "Email"]).head(3).T

# %% [markdown]
# ## What the columns are
#
# "Annual revenue" is filled in after the sale: its field history gives it back as it was. Counters and stage dates of
# the day of the export are named nowhere, so they are not used.

# %%
config = parse_config(
    {
        "data": {name: f"{name}.csv" for name in ("leads", "events", "outcomes", "field_history")}
        | {"extracted_at": today.isoformat()},
        "columns": {
            "id": "Lead ID",
            "date": "Created",
            "group": "Account",
            "fit": ["Industry", "Lead source", "Annual revenue"],
        },
        "labels": {"horizon_days": 90},
        "features": {"derive": {"Company size": "range", "Job title": "title", "Email": "email"}},
    }
)
tables = propensity.Tables(
    leads=then.leads, events=then.events, outcomes=then.outcomes, field_history=then.field_history
)

# %% [markdown]
# ## `train` judges before it is believed
#
# A row is a lead as known at a cutoff; it teaches once its 90 days are over. The newest rows test what the older ones
# taught; four older blocks do the same. Only then is the model fitted on all rows.

# %%
run = propensity.train(tables, config)

from propensity.reporting import training_summary

print("\n".join(training_summary(run)))

# %% [markdown]
# ## Scores and reasons
#
# Every lead that is open today, scored as of today: nothing at or after midnight counts. Percentage points of who the
# lead is and what it did add up, to the last digit, to the distance from a typical nurture lead.

# %%
leads = then.leads[~then.leads["Lead ID"].isin(then.outcomes["lead_id"])].reset_index(drop=True)
known = {"events": then.events, "field_history": then.field_history, "as_of": today.isoformat()}
scores = propensity.predict(leads, model=run.model, **known)
scores[["Lead ID", "probability", "band", "certified", "fit_pp", "behaviour_pp", "reason_1", "reason_4"]].head(5)

# %%
spread = 100 * scores["probability"] - scores["fit_pp"] - scores["behaviour_pp"]
print(f"the typical nurture lead: {spread.iloc[0]:.3f} %, the same for every row to {np.ptp(spread):.0e}")

# %% [markdown]
# ## Against the truth
#
# 90 days later it is known who bought. The world is invented, so there is a best possible answer too: the probability
# of each lead given all that was on record today. No honest score beats it beyond chance; how far ours stays behind is
# the price of having learned from a few hundred buyers.

# %%
sold = pd.to_datetime(crm.outcomes["converted_at"])
y = leads["Lead ID"].isin(crm.outcomes["lead_id"][sold >= today]).to_numpy(dtype=float)
truth = crm.true_probability(leads["Lead ID"], pd.Series([today] * len(leads)), horizon_days=90)
for name, p in (("truth", truth), ("model", scores["probability"].to_numpy(dtype=float))):
    print(
        f"{name}: AUC {auc(y, p):.3f}, log loss {log_loss(y, p):.4f}, mean {p.mean():.3f} (came true: {y.mean():.3f})"
    )

# %% [markdown]
# ## Do probabilities come true?
#
# Each dot is a tenth of the test leads. A perfectly calibrated model stays in the grey band 95 % of the time.

# %%
from propensity.plotting import plot_gain, plot_reliability, plot_scores

measured = run.evaluation.tables()
plot_reliability(measured)

# %%
plot_gain(measured)

# %%
plot_scores(measured, run.model.learned.bands)

# %% [markdown]
# ## A model that is text
#
# The bundle is JSON and LightGBM's own format. It is verified before anything in it is parsed.

# %%
folder = propensity.save_model(run.model, Path("models") / "mine")
print(sorted(path.name for path in folder.iterdir()))
again = propensity.predict(leads, model=propensity.load_model(folder), **known)
print("same scores after loading:", scores.equals(again))
