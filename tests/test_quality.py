from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.quality import Flaw, find_flaws
from propensity.schema import Column, Schema, read_texts

N = 200


def flaws(columns: dict[str, Any], *, beside: dict[str, Any] | None = None, **settings: Any) -> dict[str, Flaw]:
    """Look through a file of these features, floats as numbers, beside columns that are none; flaws by their code."""
    leads = pd.DataFrame(columns)
    kinds = tuple(
        Column(name=str(name), family="fit", kind="number" if leads[name].dtype.kind == "f" else "category")
        for name in leads
    )
    read = pd.DataFrame(
        {c.name: leads[c.name] if c.kind == "number" else read_texts(leads[c.name], missing=()) for c in kinds}
    )
    leads = leads.assign(**(beside or {}))
    given: dict[str, Any] = {"y": np.arange(len(leads)) % 2.0, "order": None} | settings
    found = find_flaws(leads, read, given.pop("y"), schema=Schema(columns=kinds, id=None, missing=()), **given)
    assert len({flaw.code for flaw in found}) == len(found)
    return {flaw.code: flaw for flaw in found}


def texts(values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def different(n: int = N) -> np.ndarray:
    return np.arange(n, dtype=float)


def test_a_plain_file_has_no_flaw() -> None:
    industry = texts(["Retail", "Health"] * 100)
    assert flaws({"Industry": industry, "Size": different()}, order=np.arange(N)) == {}
    assert flaws({"Size": np.empty(0)}) == {}


def test_leads_alike_in_all_and_leads_alike_in_all_but_the_outcome_are_counted() -> None:
    found = flaws({"Size": np.array([1.0, 1.0, 1.0, 2.0, 3.0, 3.0])}, y=np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    assert found["DUPLICATE"].n_rows == 2
    assert found["BOTH_OUTCOMES"].n_rows == 3
    assert "(1 kinds of lead)" in found["BOTH_OUTCOMES"].sentence


def test_leads_of_one_address_are_counted_and_the_address_is_not_shown() -> None:
    mails = texts([f"p{i}@firm.example" for i in range(N - 2)] + ["p0@firm.example", " P1@firm.example"])
    found = flaws({"Size": different()}, beside={"E-mail": mails})
    assert found["SAME_EMAIL"].n_rows == 2
    assert "@" not in found["SAME_EMAIL"].sentence
    assert flaws({"Size": different()}, beside={"Email opened": texts(["yes"] * N)}) == {}


def test_a_lead_of_several_rows_is_no_duplicate_of_itself() -> None:
    lead = np.repeat(np.arange(100), 2)
    columns = {"Size": np.repeat(different(100), 2)}
    beside = {"Email": texts([f"p{i}@firm.example" for i in lead]), "Name": texts(["test"] * 4 + ["Ana"] * 196)}
    found = flaws(columns, beside=beside, lead=lead)
    assert {code: flaw.n_rows for code, flaw in found.items()} == {"TEST": 2}
    assert {"BOTH_OUTCOMES", "SAME_EMAIL"} < {*flaws(columns, beside=beside)}  # were they leads of their own


def test_features_made_of_events_may_be_rare_and_start_late() -> None:
    columns = {"demo days since": np.where(np.arange(N) >= 199, 1.0, np.nan), "Size": different()}
    assert "NEAR_CONSTANT" in flaws(columns, order=np.arange(N))
    assert flaws(columns, order=np.arange(N), from_events={"demo days since"}) == {}


def test_people_trying_the_form_out_are_counted_once_each() -> None:
    beside = {
        "First name": texts(["Test", "Ana", "Testa", "asdf", *["Eva"] * (N - 4)]),
        "Work email": texts(["a@test.com", "b@asdf.example", "c@contest.com", *["e@x.example"] * (N - 3)]),
        "Arm": texts(["test", "control"] * 100),  # of an experiment
    }
    assert flaws({"Size": different()}, beside=beside)["TEST"].n_rows == 3


def test_levels_that_differ_by_spelling_are_found_and_frequent_ones_shown() -> None:
    industry = texts(["E-Commerce"] * 100 + ["ecommerce"] * 60 + ["Retail"] * 35 + ["retail "] * 5)
    found = flaws({"Industry": industry, "Size": different()})["SPELLING"]
    assert (found.column, found.n_rows) == ("Industry", 65)
    assert found.sentence.startswith("2 values are written in ways")
    assert "'E-Commerce' and 'ecommerce'" in found.sentence
    assert "etail" not in found.sentence  # five leads are too few to show


def test_signs_between_digits_are_no_spelling() -> None:
    size = texts(["1-10"] * 50 + ["110"] * 50 + ["C++"] * 50 + ["C"] * 50)
    assert flaws({"Size band": size, "Size": different()}) == {}


def test_a_column_of_nearly_one_value_is_told_from_one_nearly_empty() -> None:
    rare = np.where(np.arange(N) < 2, 5.0, 0.0)
    assert "all but 2 rows" in flaws({"Rare": rare, "Size": different()})["NEAR_CONSTANT"].sentence
    sparse = np.where(np.arange(N) < 2, 5.0, np.nan)
    assert "filled in 2 rows only" in flaws({"Rare": sparse, "Size": different()})["NEAR_CONSTANT"].sentence
    assert flaws({"Rare": np.where(np.arange(N) < 3, 5.0, 0.0), "Size": different()}) == {}


def test_a_text_column_different_for_every_lead_names_them() -> None:
    assert flaws({"Company": texts([f"firm {i}" for i in range(N)])})["NAMES_LEADS"].n_rows == N


def test_a_field_that_was_not_filled_in_the_past_is_found_where_leads_are_in_order() -> None:
    field = np.where(np.arange(N) >= 100, different(), np.nan)
    found = flaws({"Size": field, "Other": different()}, order=np.arange(N))["FILL_MOVES"]
    assert found.sentence == "it is filled for 0% of the oldest fifth and 100% of the newest"
    assert found.n_rows == 80
    assert flaws({"Size": field, "Other": different()}) == {}
    assert flaws({"Size": field, "Other": different()}, order=np.zeros(N)) == {}  # all dates equal


def test_a_move_that_chance_brings_is_none() -> None:
    few = 30
    field = np.where(np.isin(np.arange(few), [0, 1, 2]), np.nan, different(few))  # three of six, and none of six
    assert flaws({"Size": field, "Other": different(few)}, order=np.arange(few)) == {}
