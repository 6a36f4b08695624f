"""Verdicts as a page."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ._binary import run
from ._commands import Command, PathLike


@dataclass(frozen=True)
class Report:
    """The page that `driftgate report` writes: one HTML text without a script, which a notebook shows.

    Attributes:
        html: The page.
    """

    html: str = field(repr=False)

    @classmethod
    def of(cls, verdict_lines: bytes, title: str) -> Report:
        """Of verdicts, one JSON object a line."""
        with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
            verdicts = Path(folder, "verdicts.jsonl")
            verdicts.write_bytes(verdict_lines)
            page = run(Command(("report", "--verdicts", str(verdicts), "--title", title)))
        return cls(page.decode("utf-8"))

    def save(self, path: PathLike) -> None:
        """Writes the page into a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame of its own, so that its styles stay there.
        return f'<iframe srcdoc="{html.escape(self.html)}" style="width: 100%; height: 600px; border: 0"></iframe>'
