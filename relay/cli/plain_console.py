"""A console for what reads text without a terminal: files, pipes, `diff`."""

from __future__ import annotations

import re
from typing import Any, Final

from rich.console import Console

_PADDING: Final = re.compile(r" +(?=\n)")


class PlainConsole(Console):
    """Writes lines that end where their text does: tables fill theirs with blanks to the width."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as printed:
            super().print(*objects, **options)
        self.file.write(_PADDING.sub("", printed.get()))
        self.file.flush()
