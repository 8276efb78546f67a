"""The only place that reads and writes `propensity.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd

from propensity.config import ColumnsConfig, Config, parse_config
from propensity.errors import ConfigError
from propensity.features import few_texts, reading_plan
from propensity.schema import Tables, find_column
from propensity.storage.tables import read_table

TABLES = ("leads", "events", "outcomes", "cutoffs", "field_history")
DEFAULT_NAME = "propensity.toml"


def load_config(path: str | Path = DEFAULT_NAME) -> Config:
    """Read a config file. Paths in it are made relative to the file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        The file is absent, no TOML, or names what cannot be used.
    """
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        msg = f"{path} does not exist. Write one from a lead file: propensity init LEADS --target COLUMN"
        raise ConfigError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not TOML: {error}."
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ConfigError(msg) from error
    config = parse_config(settings, source=path.name)
    named = {name: getattr(config.data, name) for name in TABLES}
    sources = {
        name: source.model_copy(update={"path": str(path.parent / source.path)})
        for name, source in named.items()
        if source is not None
    }
    return config.model_copy(update={"data": config.data.model_copy(update=sources)})


def read_tables(config: Config) -> Tables:
    """Read the files a config names.

    Raises
    ------
    InputError
        A file is absent or no table.
    """
    data, few = config.data, few_texts(reading_plan(config))
    parts = {
        name: read_table(Path(source.path), query=source.query, categories=few if name == "events" else ())
        for name in TABLES
        if (source := getattr(data, name)) is not None
    }
    if "leads" not in parts:
        parts["leads"] = leads_of_cutoffs(parts["cutoffs"], config.columns)
    source = data.leads or data.cutoffs
    return Tables(**parts, source=Path(source.path).name if source else "leads")


def leads_of_cutoffs(cutoffs: pd.DataFrame, columns: ColumnsConfig) -> pd.DataFrame:
    """Give the leads that a file of cutoffs names, once each."""
    name = find_column(cutoffs, columns.cutoffs.id, key="columns.cutoffs.id")
    ids = cutoffs[name].drop_duplicates().reset_index(drop=True)
    return pd.DataFrame({columns.id or columns.cutoffs.id: ids})
