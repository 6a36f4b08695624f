"""`python -m driftgate ARGUMENTS`: the binary that the package would call."""

import os
import sys

from ._binary import binary
from ._errors import Error

if __name__ == "__main__":
    try:
        path = binary()
    except Error as error:
        sys.exit(str(error))
    os.execv(path, [path, *sys.argv[1:]])
