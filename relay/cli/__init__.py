"""The command line: composes what the other rooms offer.

Rules of this room: at import time only typer and this room's own light modules; everything heavy is
imported inside the command that needs it, so that `--help` stays quick. Exit codes are those of
`ExitCode`; standard output carries the result, standard error everything else.
"""

from __future__ import annotations


def main() -> None:
    """Run the `relay` command."""
    import os

    from relay.cli.loading import collect_seldom, loading

    # It would look through all installed packages for plugins, and there is no use for any.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    collect_seldom()
    with loading():
        from relay.cli.app import app
        from relay.cli.streams import standard_streams

    with standard_streams():
        app(prog_name="relay")
