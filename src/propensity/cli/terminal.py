"""The only place for how summaries look on a terminal: wrapped where they read on, and coloured where it matters.

What is piped or written to a file is the plain text, line by line as it was worded. `NO_COLOR` is heeded.
"""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# What stands before the text of a line: a label and its gap, or the mark of a list.
_BEFORE = re.compile(r"\s*(?:- |[A-Z][A-Za-z ]{1,9}  +(?=\S))?")
_LABEL = re.compile(r"^[A-Z][A-Za-z]+(?: [a-z]+)?(?=  +\S|$)")
_BAD = re.compile(
    r"NOT CERTIFIED|NOT CALIBRATED|NOT TIME-VALIDATED|NO SKILL|TOO FEW CONVERSIONS|\bQUARANTINE\b|\bWarning\b|\bALARM\b"
)
_GOOD = re.compile(r"(?<=- )certified\b")
MIN_WIDTH = 40


def say(text: str, *, console: Console | None = None) -> None:
    """Print a summary.

    Parameters
    ----------
    text : str
    console : Console or None
        None: standard output, where it is a terminal.
    """
    if console is None:
        if not sys.stdout.isatty():
            print(text)
            return
        from rich.console import Console

        console = Console(highlight=False)
    for line in text.split("\n"):
        console.print(_coloured("\n".join(wrapped(line, width=console.width))), soft_wrap=True)


def wrapped(line: str, *, width: int) -> list[str]:
    """Cut a line for a terminal; what is cut off goes on below where its text began.

    Examples
    --------
    >>> wrapped("SQL      probability >= 0.5102: about 1.3 a week (5.1%), promised", width=40)
    ['SQL      probability >= 0.5102: about', '         1.3 a week (5.1%), promised']
    """
    if len(line) <= width:
        return [line]
    found = _BEFORE.match(line)
    indent = min(len(found.group()) if found else 0, max(width - MIN_WIDTH // 2, 0))
    return textwrap.wrap(
        line,
        max(width, MIN_WIDTH),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
        replace_whitespace=False,
    ) or [""]


def _coloured(text: str) -> Text:
    from rich.text import Text

    shown = Text(text)
    for pattern, style in ((_LABEL, "bold"), (_BAD, "bold red"), (_GOOD, "green")):
        shown.highlight_regex(pattern, style)
    return shown
