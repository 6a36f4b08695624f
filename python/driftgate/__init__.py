"""driftgate from Python: the verdicts and signals of `driftgate replay`.

The package calls the `driftgate` binary that its wheel carries; `DRIFTGATE_BINARY` names another one. Whatever fails
raises `Error`.
"""

from ._binary import binary, version
from ._errors import Error
from ._local import replay
from ._outcome import Outcome

__all__ = ["Error", "Outcome", "binary", "replay", "version"]
