"""On a terminal summaries wrap and have colours; piped they are the plain text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from propensity.cli.terminal import say, wrapped

TEXT = """\
Bands
  SQL      probability >= 0.5102: about 1.3 a week (5.1%)
           promise: 42% convert - NOT CERTIFIED (observed 63.6% on 11 leads)
  MQL      promise: 90% of all conversions - certified

Please note
  - The SQL promise (42% convert) could not be certified; the top 5% of leads are called SQL, marked uncertified.
"""


def shown(width: int, *, colours: bool = True) -> str:
    out = io.StringIO()
    kind = "standard" if colours else None
    say(TEXT, console=Console(file=out, force_terminal=colours, color_system=kind, width=width, highlight=False))  # type: ignore[arg-type]
    return out.getvalue()


def test_piped_it_is_the_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(TEXT)
    assert capsys.readouterr().out == TEXT + "\n"


@pytest.mark.parametrize("width", [40, 60, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(width: int) -> None:
    text = shown(width, colours=False)
    assert max(map(len, text.splitlines())) <= width
    assert text.split() == TEXT.split()


def test_what_matters_has_a_colour_and_without_colours_there_is_no_code() -> None:
    coloured = shown(120)
    assert "\x1b[1;31mNOT CERTIFIED\x1b[0m" in coloured
    assert coloured.count("\x1b[32mcertified\x1b[0m") == 1  # not that of "could not be certified", nor "uncertified"
    assert "\x1b[1mBands\x1b[0m" in coloured
    assert "\x1b" not in shown(120, colours=False)


def test_what_is_cut_off_goes_on_where_its_text_began() -> None:
    lines = wrapped("  - The SQL promise (42% convert) could not be certified; agree on less.", width=40)
    assert len(lines) == 2
    assert all(line.startswith("    ") for line in lines[1:])
    assert wrapped("short", width=40) == ["short"]
