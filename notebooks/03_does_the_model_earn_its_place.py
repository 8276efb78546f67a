# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Does the model earn its place?
#
# Three questions before anyone is called: does a column know the future, is the model better than what there was, and
# do its probabilities come true?

# %%
# %matplotlib inline
import os
import tempfile
import warnings

import pandas as pd

import propensity
from propensity.config import parse_config
from propensity.plotting import plot_comparison, plot_learning_curve, plot_reliability
from propensity.reporting import audit_lines
from propensity.synthetic import invent_crm

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
N_LEADS = int(os.environ.get("PROPENSITY_NOTEBOOK_LEADS", "3000"))
crm = invent_crm(n_leads=N_LEADS, leak=True)
today = crm.end - pd.Timedelta(days=90)
then = crm.until(today)

# %% [markdown]
# ## Columns that know the future
#
# One column of this export is written only once a lead has been won. Its name is honest enough; the audit does not
# rely on names.

# %%
config = parse_config(
    {
        "data": {name: f"{name}.csv" for name in ("leads", "events", "outcomes", "field_history")}
        | {"extracted_at": today.isoformat()},
        "columns": {
            "id": "Lead ID",
            "date": "Created",
            "group": "Account",
            "fit": [
                name
                for name in then.leads.columns
                if name not in {"Lead ID", "Created", "Account", "First name", "Email"}
            ],
        },
        "labels": {"horizon_days": 90},
        "learner": {"max_trees": 100},
        "rules": {
            "points": [
                {"name": "asked for a demo", "event": "demo request", "points": 30},
                {"name": "looked at prices", "event": "pricing page visit", "points": 10, "cap": 30},
            ]
        },
    }
)
tables = propensity.Tables(
    leads=then.leads, events=then.events, outcomes=then.outcomes, field_history=then.field_history
)
print("\n".join(audit_lines(propensity.audit(tables, config))))

# %% [markdown]
# ## Better than the points sheet, and than guessing?
#
# On the same leads, newer than any the model learned from. Where the lines do not touch, the difference is proven.

# %%
run = propensity.train(tables, config)
measured = run.evaluation.tables()
plot_comparison(measured)

# %% [markdown]
# ## Who takes part
#
# A regression and three kinds of forest race on out-of-fold rows of the past; each past runs its own race, so what is
# judged is what ships.

# %%
learned = run.model.learned
pd.Series(dict(learned.blend.recipe.named()), name="share of the blend").round(2)

# %% [markdown]
# ## Do probabilities come true?

# %%
plot_reliability(measured)

# %% [markdown]
# ## Would more history help?

# %%
plot_learning_curve(run.curve)
