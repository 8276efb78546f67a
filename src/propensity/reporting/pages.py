"""The only place for how pages are made of templates: what data holds is shown and never run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


@cache
def environment() -> jinja2.Environment:
    """Give the templates of this package; what is put into them is escaped, what they lack is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("propensity.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
