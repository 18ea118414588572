"""Prints the oldest versions that pyproject.toml allows of what the package itself needs: ``python -m tools.oldest``.

They are constraints for pip, of the dependencies and of the extra ``cli``. Tools of tests are not among them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent

_LOWEST: Final = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def oldest(project: dict[str, Any]) -> Iterator[str]:
    """Yield a constraint for each requirement that has a lowest version."""
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["cli"]):
        if found := _LOWEST.match(requirement):
            yield f"{found[1]}=={found[2]}.*"


if __name__ == "__main__":
    found = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    sys.stdout.writelines(f"{each}\n" for each in oldest(found["project"]))
