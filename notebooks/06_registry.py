# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # From training to whoever consumes
#
# Train, promote, score from the registry, and what happens when the registry does not answer.

# %%
# %matplotlib inline
import contextlib
import io
import json
import os
import tempfile
import warnings
from pathlib import Path

import mlflow
import pandas as pd

from propensity import cli

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
assert cli.run(["sample", "--flat", "."]) == 0
assert cli.run("init leads.csv --target Converted".split()) == 0
text = Path("propensity.toml").read_text()
_ = Path("propensity.toml").write_text(
    text.replace("max_trees = 3000", "max_trees = 60").replace("origins = 5", "origins = 2")
)

# %% [markdown]
# ## The first model with skill becomes champion, later ones challenge

# %%
for seed in ("0", "1"):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.run(["train", "--seed", seed, "--json"]) == 0
    told = json.loads(said.getvalue())
    print(
        told["model"]["uri"],
        "as",
        told["model"]["alias"],
        "-",
        told["verdict"],
        round(told["metrics"]["time"]["auc"]["value"], 3),
    )

# %%
client = mlflow.MlflowClient("sqlite:///models/mlflow.db")
client.get_registered_model("lead-propensity").aliases

# %% [markdown]
# ## Promote, and score with what is champion now

# %%
client.set_registered_model_alias("lead-propensity", "champion", "2")
assert cli.run(["score", "new_leads.csv", "-o", "scores.csv"]) == 0
pd.read_csv("scores.csv")[["probability", "band", "scored_by", "model_version"]].head(3)

# %% [markdown]
# ## A consumer needs mlflow, lightgbm, pandas and numpy, and not this package

# %%
mlflow.set_tracking_uri("sqlite:///models/mlflow.db")
model = mlflow.pyfunc.load_model("models:/lead-propensity@champion")
model.predict(pd.read_csv("new_leads.csv"), params={"reasons": 3}).head(3).T

# %% [markdown]
# ## When the registry does not answer
#
# The copy of the champion that the last run kept stands in, verified, and every row says so.

# %%
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
assert cli.run(["score", "new_leads.csv", "-o", "scores.csv"]) == 0
pd.read_csv("scores.csv")[["scored_by", "fallback_reason"]].value_counts()
