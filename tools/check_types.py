"""``python -m tools.check_types``: whether the types of the package are complete, as basedpyright sees them.

A type that is inferred, and could be inferred differently by another type checker, is incomplete, and so is whatever
mentions it. Each module whose name has no leading underscore counts, whether or not it is meant for other programs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent


def incomplete(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each incomplete type in basedpyright's report, except those that follow from others."""
    for symbol in report["typeCompleteness"]["symbols"]:
        if symbol["isTypeKnown"]:
            continue
        for found in symbol["diagnostics"]:
            what, _, _ = found["message"].partition("\n")
            # A parameter whose class has an incomplete attribute, for example.
            if "partially unknown" not in what:
                yield f"{symbol['name']}: {what}"


def main() -> int:
    """Print what is incomplete; return the exit code: 0 if nothing is."""
    # basedpyright looks for the package with the `python` of the PATH; its option for another one finds none.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    words = [sys.executable, "-m", "basedpyright", "--verifytypes", "runtime", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, check=False)
    report = json.loads(done.stdout)
    counts = report["typeCompleteness"]["exportedSymbolCounts"]
    print(
        *sorted(set(incomplete(report))), sep="\n", end="\n" if counts["withKnownType"] < sum(counts.values()) else ""
    )
    print(f"{counts['withKnownType']} of {sum(counts.values())} symbols have a complete type")
    # No symbol at all: the package was not found.
    return 0 if 0 < counts["withKnownType"] == sum(counts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
