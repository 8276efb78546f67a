"""The only place where a command finds its model, or the rules that answer without one."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import BundleError, InputError, RegistryError

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.registry import Store


@dataclass(frozen=True, kw_only=True)
class Found:
    """What answers a command.

    Parameters
    ----------
    model : PropensityModel
    rules_reason : str
        Not empty: its rules answer for every row, for this reason.
    standin_reason : str
        Not empty: it is a copy that stands in for the champion, for this reason.
    why : str
        A sentence about it, for people.
    """

    model: PropensityModel
    rules_reason: str = ""
    standin_reason: str = ""
    why: str = ""


def find_model(options: argparse.Namespace, config: Config | None) -> Found:
    """Load the model; where that fails, a verified copy of the last champion, else the rules with the reason."""
    from propensity.registry import load_model
    from propensity.registry.store import champion_uri
    from propensity.storage.last_good import find, keep

    store = _store(options)
    source = options.model or (champion_uri(config.registry.name) if config else None)
    if source is None:
        msg = f"{options.config} does not exist and no --model is named. Run: propensity init LEADS --target COLUMN"
        raise InputError(msg)
    today = dt.datetime.now(dt.UTC).date()
    # Only the champion has a last good copy: who names a model wants that one.
    copy = store.folder / "last_good" / config.registry.name if config and not options.model else None
    try:
        model = load_model(source, store=store)
    except (BundleError, RegistryError) as error:
        reason = error.fallback_reason
        is_missing = reason == "MODEL_MISSING"
        # A registry that does not answer is not asked again in this run.
        newest = _newest_without_skill(config, store) if is_missing and config and copy else None
        if newest is not None:
            return Found(model=newest)
        kept = None if copy is None or is_missing else find(copy, today=today)
        if kept is not None:
            why = f"{error} A verified copy of the champion of {kept.kept_on} stands in."
            return Found(model=kept.model, standin_reason=reason, why=why)
        if config is None:
            msg = f"{error} There is no {options.config} either to take rules from."
            raise InputError(msg) from error
        return Found(model=_rules_alone(config), rules_reason=reason, why=str(error))
    if copy is not None:
        keep(model, copy, today=today)
    return Found(model=model)


def _newest_without_skill(config: Config, store: Store) -> PropensityModel | None:
    """Give the newest version where none is champion because it has no skill: its rules know the history."""
    from propensity.registry import load_model

    try:
        model = load_model(f"models:/{config.registry.name}/latest", store=store)
    except (BundleError, RegistryError):
        return None
    return None if model.verdict == "skill" else model


def _rules_alone(config: Config) -> PropensityModel:
    """Give the sheet as the model that answers; in a project of tables it reads what leads did, too."""
    from dataclasses import replace

    from propensity.features import CUTOFF, reading_plan
    from propensity.model import rules_model
    from propensity.rules import build_rules
    from propensity.schema import Schema, missing_words

    words = config.data.missing
    plan = reading_plan(config)
    if not config.has_tables:
        schema = Schema(columns=(), id=config.columns.id, missing=missing_words(words, None))
        alone = replace(plan, has_events=False, stages={})
        return replace(rules_model(build_rules(config.rules, missing=words), schema), plan=alone)
    schema = Schema(columns=(), id=plan.id, missing=missing_words(words, None), cutoff=CUTOFF)
    rules = build_rules(config.rules, missing=words)
    return replace(rules_model(rules, schema), plan=replace(plan.of_columns(rules.columns), signals=rules.signals))


def _store(options: argparse.Namespace) -> Store:
    from propensity.registry import Store

    return Store(folder=store_folder(options.config))


def store_folder(config: str) -> Path:
    """Give the folder of the default registry: beside the config."""
    return Path(config).parent / "models"
