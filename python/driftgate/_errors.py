"""What the package raises."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """A `driftgate` command failed, or could not be run.

    Attributes:
        text: What the command wrote on standard error, or why it could not be run.
        code: Its exit code; `None` where no command ended by itself (it could not be run, or a signal ended it).
            2 is wrong input, a damaged or foreign partial, or a question that needs the order of events.
        command: Its arguments, joined by spaces; empty where there was none.
        host: The machine on which it ran; empty where that was the caller's.
    """

    def __init__(self, text: str, code: Optional[int] = None, command: str = "", host: str = "") -> None:
        super().__init__(text, code, command, host)
        self.text = text
        self.code = code
        self.command = command
        self.host = host

    def __str__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        how = "" if self.code is None else f" ended with exit code {self.code}"
        if not self.command:
            return f"{self.text}{where and f' ({self.host})'}"
        return f"`driftgate {self.command}`{where}{how or ' failed'}: {self.text}"


class ApiError(Error):
    """A daemon refused a request, could not be reached, or gave no answer that can be read.

    Attributes:
        text: What the daemon said is wrong and what to do, or why there is no answer.
        status: The answer's status of HTTP; `None` where there was none.
        request: Method and path.
    """

    def __init__(self, text: str, status: Optional[int] = None, request: str = "") -> None:
        super().__init__(text)
        # What a copy is made of.
        self.args = (text, status, request)
        self.status = status
        self.request = request

    def __str__(self) -> str:
        how = "" if self.status is None else f" is answered with status {self.status}"
        return f"{self.request}{how or ' failed'}: {self.text}" if self.request else self.text
