"""The only place where the program starts and its exit code is decided."""

import io
import signal
import sys


def main() -> None:
    """Run the command line."""
    from propensity.cli import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # once more, while the first was answered
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the way out is left
    sys.exit(code)


if __name__ == "__main__":
    main()
