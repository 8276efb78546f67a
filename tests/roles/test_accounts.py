from __future__ import annotations

import pandas as pd
import pytest

from propensity.roles.accounts import Accounts, look_at_accounts, names_account, puts_together

FIRMS = [f"Firm {chr(65 + i // 3)}" for i in range(60)]  # 20 firms of three leads


def look(values: list[str | None], *, name: str = "Company", is_certain: bool = False) -> Accounts:
    return look_at_accounts(pd.Series(values), name=name, missing={"*": ["", "n/a"]}, is_certain=is_certain)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Company",
            "Company Name",
            "Account Name",
            "Associated Company",
            "company_id",
            "AccountId",
            "Company / Account",
        ),
        *("accountName", "Associated Company ID", "organization"),
    ],
)
def test_a_column_names_accounts_as_systems_call_it(name: str) -> None:
    assert names_account(name)


@pytest.mark.parametrize(
    "name", ["Company size", "Industry", "Number of Employees", "ConvertedAccountId", "Account owner"]
)
def test_what_is_said_of_a_company_is_not_its_name(name: str) -> None:
    assert not names_account(name)


def test_leads_of_one_account_are_counted_and_those_without_stand_alone() -> None:
    found = look([*FIRMS, None, "", "N/A"])
    assert (found.n_accounts, found.n_leads, found.n_largest, found.n_alone) == (20, 60, 3, 3)
    assert found.stand_ins == ()
    assert "20 of 60 leads, 3.0 leads an account, at most 3; 3 leads without one stand alone" in found.sentences("C")[0]


@pytest.mark.parametrize("word", ["Self-Employed", "self employed", "Freelance", "gmail.com", "Gmail", ".", "N.A."])
def test_words_that_name_nobody_put_no_leads_together(word: str) -> None:
    found = look([*FIRMS, word, word])
    assert (found.n_accounts, found.n_leads, found.n_nobody, found.n_alone) == (20, 60, 2, 2)
    assert found.stand_ins == (word.casefold(),)


def test_a_word_that_more_than_a_tenth_of_all_leads_share_is_no_account() -> None:
    """Of 60 + 21 leads, 21 are more than both a tenth and twenty; twenty are not."""
    assert look([*FIRMS, *["The reseller"] * 21]).stand_ins == ("the reseller",)
    assert look([*FIRMS, *["The reseller"] * 20]).stand_ins == ()
    found = look([*FIRMS, *["The reseller"] * 21])
    assert (found.n_frequent, found.n_leads) == (21, 60)
    assert "The reseller" not in " ".join(found.sentences("Company"))


def test_an_id_and_what_a_person_calls_accounts_may_be_as_large_as_they_are() -> None:
    values: list[str | None] = [*FIRMS, *["00177"] * 21]
    assert look(values, name="AccountId").n_largest == 21
    assert look(values, is_certain=True).n_largest == 21
    assert look([*values, "self"], is_certain=True).stand_ins == ("self",)


def test_names_alike_but_for_their_legal_form_are_counted_not_joined() -> None:
    found = look(["Acme", "ACME", "Acme Inc.", "Acme, Inc", "Globex GmbH", "Globex", "Co"])
    assert (found.n_accounts, found.n_alike) == (6, 3)


def test_a_column_that_puts_no_leads_together_or_all_is_no_group() -> None:
    assert not puts_together(look(["a", "b", "c"]))
    assert not puts_together(look(["a", "a", "a"]))
    assert not puts_together(look([*["Brand one"] * 40, *["Brand two"] * 40]))
    assert puts_together(look(["a", "a", "b"]))
