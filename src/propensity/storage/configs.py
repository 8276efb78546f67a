"""The only place that reads and writes `propensity.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from propensity.config import Config, parse_config
from propensity.errors import ConfigError
from propensity.schema import Tables
from propensity.storage.tables import read_leads

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
    leads = str(path.parent / config.data.leads)
    return config.model_copy(update={"data": config.data.model_copy(update={"leads": leads})})


def read_tables(config: Config) -> Tables:
    """Read the files a config names.

    Raises
    ------
    InputError
        A file is absent or no table.
    """
    return read_leads(Path(config.data.leads))
