"""What judging gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any


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

    @classmethod
    def read(cls, verdicts: Path, signals: Path, said: bytes) -> Outcome:
        """From the files that a command wrote, and its standard output."""
        return cls(verdicts.read_bytes(), signals.read_bytes(), json.loads(said))


def _parsed(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]
