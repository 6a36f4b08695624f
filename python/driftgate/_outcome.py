"""What judging gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ._report import Report


@dataclass(frozen=True)
class Outcome:
    """Verdicts and signals, byte for byte those of `driftgate replay`.

    Attributes:
        verdict_lines: One JSON object a line and window, ordered by end, model, version and group. All of them are in
            memory: a verdict of 100 features has about 20 kB.
        signal_lines: One JSON object a line and signal (`block`, `clear`, `rollback`), in the order of the verdicts.
        summary: What the command said of the run with `--json`.
    """

    verdict_lines: bytes = field(repr=False)
    signal_lines: bytes = field(repr=False)
    summary: dict[str, Any] = field(repr=False, default_factory=dict)

    @cached_property
    def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts, parsed; their fields stand in `docs/reference`."""
        return _parsed(self.verdict_lines)

    @cached_property
    def signals(self) -> list[dict[str, Any]]:
        """The signals, parsed."""
        return _parsed(self.signal_lines)

    @cached_property
    def report(self) -> Report:
        """The page of these verdicts, which a notebook shows."""
        return Report.of(self.verdict_lines, "driftgate report")

    def frame(self) -> Any:
        """A DataFrame of pandas with a row for each result of each verdict: window, rule, subject, status, value.

        pandas has to be installed.
        """
        import pandas

        rows = [
            {
                "start": verdict["window"]["start"],
                "end": verdict["window"]["end"],
                "complete": verdict["window"]["complete"],
                "version": verdict["version"],
                "group": verdict["group"],
                **{key: result.get(key) for key in ("rule", "subject", "status", "value", "limit", "n", "reason")},
            }
            for verdict in self.verdicts
            for result in verdict["results"]
        ]
        columns = ("start", "end", "complete", "version", "group")
        columns += ("rule", "subject", "status", "value", "limit", "n", "reason")
        found = pandas.DataFrame(rows, columns=list(columns))
        for end in ("start", "end"):
            found[end] = pandas.to_datetime(found[end], utc=True)
        return found

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    @classmethod
    def read(cls, verdicts: Path, signals: Path, said: bytes) -> Outcome:
        """From the files that a command wrote, and its standard output."""
        return cls(verdicts.read_bytes(), signals.read_bytes(), json.loads(said))


def _parsed(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]
