"""The only place where a command finds its model, or the rules that answer without one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import BundleError, InputError, RegistryError

if TYPE_CHECKING:
    from propensity.config import Config
    from propensity.model import PropensityModel
    from propensity.registry import Store


def find_model(options: argparse.Namespace, config: Config | None) -> tuple[PropensityModel, str, str]:
    """Load the model, or the rules with the reason they answer and a sentence about it."""
    from propensity.registry import load_model
    from propensity.registry.store import champion_uri

    store = _store(options)
    source = options.model or (champion_uri(config.registry.name) if config else None)
    try:
        if source is None:
            msg = f"{options.config} does not exist and no --model is named. Run: propensity init LEADS --target COLUMN"
            raise InputError(msg)
        return load_model(source, store=store), "", ""
    except (BundleError, RegistryError) as error:
        newest = None if options.model or config is None else _newest_without_skill(config, store)
        if newest is not None:
            return newest, "", ""
        reason = error.fallback_reason if isinstance(error, BundleError) else "REGISTRY_UNAVAILABLE"
        if config is None:
            msg = f"{error} There is no {options.config} either to take rules from."
            raise InputError(msg) from error
        return _rules_alone(config), reason, str(error)


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
