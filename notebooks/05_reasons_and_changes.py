# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Reasons, and why a score moved
#
# A reason is a share of the distance between a lead and a typical nurture lead, in percentage points of the probability
# that is shown. All of them add up to it exactly.

# %%
# %matplotlib inline
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import propensity
from propensity import cli
from propensity.plotting import plot_importance

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
assert cli.run(["sample", "."]) == 0

# %%
assert (
    cli.run(
        "init leads.csv --events events.csv --outcomes outcomes.csv --field-history field_history.csv --horizon 90".split()
    )
    == 0
)
text = Path("propensity.toml").read_text()
_ = Path("propensity.toml").write_text(
    text.replace("max_trees = 3000", "max_trees = 60").replace("origins = 5", "origins = 2")
)
config = propensity.load_config("propensity.toml")
tables = propensity.read_tables(config)
run = propensity.train(tables, config)
propensity.save_model(run.model, "model")
print("model", run.model.version)

# %% [markdown]
# ## Reasons add up

# %%
new = pd.read_csv("new_leads.csv", dtype=str)
known = {"events": tables.events, "field_history": tables.field_history}
scores = propensity.predict(new, model=run.model, **known, as_of="2026-06-25")
typical = (100 * scores["probability"] - scores["fit_pp"] - scores["behaviour_pp"])[scores["scored_by"] == "model"]
print(f"the typical nurture lead: {typical.median():.3f} %, the same for every lead to {np.ptp(typical):.0e} points")
scores.sort_values("probability", ascending=False)[["Lead ID", "probability", "reason_1", "reason_2", "reason_4"]].head(
    4
)

# %% [markdown]
# ## What moves scores over all leads

# %%
plot_importance(run.importance)

# %%
run.dependence.head(12).round(2)

# %% [markdown]
# ## Why one lead scores as it does, and why that moved
#
# What happened since, time that passed and fields that were edited are told apart, to the last digit.

# %%
lead = scores.sort_values("probability", ascending=False)["Lead ID"].iloc[0]
asked = ["explain", "new_leads.csv", "--lead", lead, "--model", "model", "--as-of", "2026-06-25"]
assert cli.run([*asked, "--since", "new_leads.csv", "--since-as-of", "2026-06-15"]) == 0
