# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Agreeing on the bands
#
# Marketing and sales sit down once: what must SQLs convert at, how many can sales work, what does a call cost and a win
# bring? What follows from each answer is on the frontier, counted on leads kept apart for it.

# %%
# %matplotlib inline
import os
import tempfile
import warnings

import pandas as pd

import propensity
from propensity.config import parse_config
from propensity.plotting import plot_frontier
from propensity.reporting.explorer import Explorer
from propensity.synthetic import invent_crm

warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())
N_LEADS = int(os.environ.get("PROPENSITY_NOTEBOOK_LEADS", "3000"))
crm = invent_crm(n_leads=N_LEADS)
today = crm.end - pd.Timedelta(days=90)
then = crm.until(today)


def settings(**agreement: object) -> dict[str, object]:
    return {
        "data": {name: f"{name}.csv" for name in ("leads", "events", "outcomes", "field_history")}
        | {"extracted_at": today.isoformat()},
        "columns": {"id": "Lead ID", "date": "Created", "group": "Account", "fit": ["Industry", "Lead source"]},
        "labels": {"horizon_days": 90},
        "features": {"derive": {"Job title": "title"}},
        "learner": {"max_trees": 60},
        "evaluation": {"origins": 3},
        "agreement": agreement,
    }


tables = propensity.Tables(
    leads=then.leads, events=then.events, outcomes=then.outcomes, field_history=then.field_history
)
run = propensity.train(tables, parse_config(settings(sql_precision=0.3, mql_recall=0.8)))

# %% [markdown]
# ## Every threshold, and what it would bring

# %%
frontier = run.model.learned.frontier
plot_frontier(frontier)

# %% [markdown]
# ## What was agreed, and whether it stands
#
# A promise is certified where, at the agreed confidence, leads like those it was tested on keep it. What could not be
# certified says which rate could be.

# %%
bands = run.model.learned.bands
pd.DataFrame({"SQL": vars(bands.sql_promise), "MQL": vars(bands.mql_promise)}).T

# %% [markdown]
# ## What if?
#
# The report has two handles for this; here are the same numbers as a table.

# %%
explorer = Explorer(frontier=frontier)
sql, mql = explorer.agreed()
asked = {
    "as agreed": sql,
    "sales can work 3 a week": explorer.within(3),
    "sales can work 10 a week": explorer.within(10),
    "a win brings 5,000, a call costs 200": explorer.dearest(value=5000, cost=200),
}
rows = {}
for name, line in asked.items():
    brings = explorer.at(line, min(mql, line))
    rows[name] = {
        "threshold": frontier.thresholds[line],
        "SQLs a week": brings["SQL"]["volume"],
        "convert": brings["SQL"]["precision"],
        "surely at least": brings["SQL"]["low"],
        "customers a week": brings["SQL"]["conversions"],
        "leads in another band": brings["moved"]["volume"],
    }
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# ## Another agreement is another model version
#
# The policy "capacity" calls as many leads as sales can work, the best first, and promises nothing about their rate.

# %%
other = propensity.train(tables, parse_config(settings(policy="capacity", capacity_per_week=3, mql_recall=0.8)))
pd.DataFrame(
    {
        name: {
            "model": one.model.version,
            "SQL from": one.model.learned.bands.sql,
            "SQLs a week": one.model.learned.bands.sql_share * (one.model.learned.bands.leads_per_week or 0),
            "certified": one.model.learned.bands.sql_promise.certified,
        }
        for name, one in (("promise", run), ("capacity", other))
    }
)
