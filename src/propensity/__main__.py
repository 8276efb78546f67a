"""The only place where the program starts and its exit code is decided."""

import io
import sys


def main() -> None:
    """Run the command line."""
    from propensity.cli import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
