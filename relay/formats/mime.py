"""Messages as the standard library parses them, with a bound on what a sender can make it do."""

from __future__ import annotations

from email.message import Message
from typing import Any, Final

MAX_PARAMETERS: Final = 4096
"""Characters of a field whose parameters are read; a file name takes less than 2500."""


class BoundedMessage(Message):
    """A message whose fields have parameters only up to a length.

    The library takes a time for them that grows with the square of the field.
    """

    def get_param(
        self, param: str, failobj: Any = None, header: str = "content-type", unquote: bool = True
    ) -> Any:
        """Return a parameter of a field, `failobj` where there is none or the field is too long."""
        if len(str(self.get(header, ""))) > MAX_PARAMETERS:
            return failobj
        return super().get_param(param, failobj, header, unquote)
