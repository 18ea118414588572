"""`Pages`: the HTML of the pages, and the files that they load. All texts are escaped, whatever a job has put there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import jinja2

_DIRECTORY: Final = Path(__file__).parent / "page"

FILES: Final[Mapping[str, str]] = MappingProxyType(
    {"page.css": "text/css", "run.js": "text/javascript", "refresh.js": "text/javascript"}
)
"""The files that pages load, and their types."""


class Pages:
    """The pages. Reads all files when it is made, and none later.

    Args:
        results: the directory of runs, as the user has given it.

    Raises:
        OSError: if a file of this package cannot be read.
    """

    def __init__(self, results: str) -> None:
        self.files: Final = {name: (_DIRECTORY / name).read_bytes() for name in FILES}
        sources = {path.name: path.read_text("utf-8") for path in _DIRECTORY.glob("*.j2")}
        self._templates = jinja2.Environment(
            loader=jinja2.DictLoader(sources),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["results"] = results

    def page(self, name: str, values: Mapping[str, object]) -> bytes:
        """Return a page.

        Args:
            name: of the template, without its ending.
            values: for it.
        """
        text = self._templates.get_template(f"{name}.html.j2").render(values)
        # A name of a file may have bytes that are no text; `printable` has escaped them wherever a name is shown.
        return text.encode("utf-8", "backslashreplace")
