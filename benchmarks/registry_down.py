"""See how long scoring waits for a registry that refuses, never answers, or answers 500, and that every row says so.

Usage: python benchmarks/registry_down.py

A small project is trained, then scored with the registry's address pointing at a local port: once with the copy of the
champion that the last run kept, once without.
"""

import contextlib
import io
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from propensity.cli import run
from propensity.synthetic import invent_leads

ANSWER = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def registry(kind: str) -> Iterator[str]:
    """Give the address of a registry that is down."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                held.append(client)
                if kind == "answers 500":
                    client.recv(65536)
                    client.sendall(ANSWER)
                    client.close()

    if kind != "refuses":
        server.listen(64)
        threading.Thread(target=serve, daemon=True).start()
    try:
        yield address
    finally:
        server.close()
        for client in held:
            client.close()


def score(folder: Path) -> tuple[float, pd.DataFrame]:
    """Score, and give the seconds it took with the rows."""
    start = time.monotonic()
    output = folder / "scores.csv"
    with contextlib.redirect_stdout(io.StringIO()):
        code = run(["score", str(folder / "new.csv"), "-c", str(folder / "propensity.toml"), "-o", str(output)])
    if code:
        raise SystemExit(code)
    return time.monotonic() - start, pd.read_csv(output)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        world = invent_leads(n_history=1000, n_new=200)
        world.history.to_csv(folder / "leads.csv", index=False)
        world.new.to_csv(folder / "new.csv", index=False)
        config = folder / "propensity.toml"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run(["init", str(folder / "leads.csv"), "--target", "Converted", "-o", str(config)])
            config.write_text(config.read_text().replace("max_trees = 3000", "max_trees = 20"))
            run(["train", "-c", str(config)])
        usual, rows = score(folder)
        print(f"registry there: {usual:.1f} s, {(rows['scored_by'] == 'model').mean():.0%} of rows by the model")
        copies = folder / "models" / "last_good"
        for kind in ("refuses", "never answers", "answers 500"):
            for has_copy in (True, False):
                away = folder / "away"
                if not has_copy:
                    copies.rename(away)
                with registry(kind) as address:
                    os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_REGISTRY_URI"] = address
                    seconds, rows = score(folder)
                if not has_copy:
                    away.rename(copies)
                for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
                    del os.environ[name]
                told = rows["fallback_reason"].fillna("").value_counts().to_dict()
                by = rows["scored_by"].fillna("").value_counts().to_dict()
                what = "with a copy" if has_copy else "without one"
                print(f"{kind:14} {what:12} {seconds - usual:+6.1f} s; rows say {told}; scored by {by}", flush=True)


if __name__ == "__main__":
    main()
