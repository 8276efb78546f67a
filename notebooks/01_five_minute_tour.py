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
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

import propensity
from propensity.cli import run as command
from propensity.metrics import auc, log_loss
from propensity.synthetic import invent_leads

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
N_LEADS = int(os.environ.get("PROPENSITY_NOTEBOOK_LEADS", "3000"))

# %% [markdown]
# ## Leads, as a CRM exports them
#
# An id, a date, who the lead is, what it did, personal data, and a status written after the fact.

# %%
world = invent_leads(n_history=N_LEADS, n_new=200)
world.history.to_csv("leads.csv", index=False)
world.new.to_csv("new_leads.csv", index=False)
world.history.drop(columns=["First name", "Email"]).head(3).T

# %% [markdown]
# ## `init` guesses, and says why
#
# Personal data is left out. "Lead status" is set aside: only a result, or people working the lead, can write it.

# %%
command(["init", "leads.csv", "--target", "Converted"])

# %% [markdown]
# ## `train` judges before it is believed
#
# The newest fifth of the leads tests what the older ones taught; four older blocks do the same. Only then is the model
# fitted on all rows.

# %%
config = propensity.load_config("propensity.toml")
run = propensity.train(propensity.read_tables(config), config)

from propensity.reporting import training_summary

print("\n".join(training_summary(run)))

# %% [markdown]
# The world is invented, so there is a best possible model: the true probability of each lead. Ours should come near
# its figures on the same test leads, and must not beat them beyond chance.

# %%
newest = np.arange(len(world.probability)) >= len(world.probability) - run.evaluation.headline.n_rows
y = (world.history["Converted"] == "Yes").to_numpy(dtype=float)
test = run.evaluation.test
print(
    f"truth: AUC {auc(y[newest], world.probability[newest]):.3f}, log loss {log_loss(y[newest], world.probability[newest]):.4f}"
)
print(f"model: AUC {auc(test.y, test.probability):.3f}, log loss {log_loss(test.y, test.probability):.4f}")

# %% [markdown]
# ## Do probabilities come true?
#
# Each dot is a tenth of the test leads. A perfectly calibrated model stays in the grey band 95 % of the time.

# %%
from propensity.plotting import plot_gain, plot_reliability, plot_scores

plot_reliability(run.evaluation)

# %%
plot_gain(run.evaluation)

# %%
plot_scores(run.evaluation, run.model.learned.bands)

# %% [markdown]
# ## Scores and reasons
#
# Percentage points of who the lead is and what it did add up, to the last digit, to the distance from a typical
# nurture lead.

# %%
scores = propensity.predict(world.new, model=run.model)
scores[["Lead ID", "probability", "band", "certified", "fit_pp", "behaviour_pp", "reason_1", "reason_4"]].head(5)

# %%
spread = 100 * scores["probability"] - scores["fit_pp"] - scores["behaviour_pp"]
print(f"the typical nurture lead: {spread.iloc[0]:.3f} %, the same for every row to {np.ptp(spread):.0e}")

# %% [markdown]
# ## A model that is text
#
# The bundle is JSON and LightGBM's own format. It is verified before anything in it is parsed.

# %%
folder = propensity.save_model(run.model, Path("models") / "mine")
print(sorted(path.name for path in folder.iterdir()))
again = propensity.predict(world.new, model=propensity.load_model(folder))
print("same scores after loading:", scores.equals(again))
