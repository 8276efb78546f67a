"""The only place for how pages are made of templates: what data holds is shown and never run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

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


def script_json(data: Mapping[str, Any]) -> Markup:
    r"""Write what a page works from as JSON that can end no script.

    Examples
    --------
    >>> print(script_json({"level": "</script>"}))
    {"level": "\u003c/script>"}
    """
    return Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c"))  # noqa: S704 - nothing in it ends a script
