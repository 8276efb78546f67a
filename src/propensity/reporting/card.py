"""The only place that gives the model card out: as the bundle holds it, with the version that the bundle has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from propensity.reporting.pages import environment

if TYPE_CHECKING:
    from propensity.model import PropensityModel


def whole_card(model: PropensityModel) -> str:
    """Give the card, Markdown, with what its own file cannot know: the version that its bytes are part of."""
    return (
        f"{model.card.rstrip()}\n\n## Version\n\n- Model `{model.version}`, the first digits of its bundle's sha256.\n"
    )


def card_page(card: str, version: str) -> str:
    """Write a card as one HTML page that asks nothing of a network; markup in it is shown and never run."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"]).render(card)
    return (
        environment()
        .get_template("card.html.j2")
        .render(
            version=version,
            body=Markup(body),  # noqa: S704 - rendered without HTML of its own
        )
    )
