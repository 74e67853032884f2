"""How a forked process ends: without what the interpreter would do at its end."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import NoReturn


def leave(work: Callable[[], int]) -> NoReturn:
    """Do `work` and end the process with the status that it returns, or 1 if it raised."""
    status = 1
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status & 0xFF)
