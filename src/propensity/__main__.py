"""The only place where the program starts and its exit code is decided."""

import sys


def main() -> None:
    """Run the command line."""
    from propensity.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
