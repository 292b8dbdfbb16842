# SPDX-License-Identifier: Apache-2.0
"""The command line: python -m attnlab, or attnlab."""

from pathlib import Path
from typing import Annotated

import typer

from attnlab import newvariant

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def attnlab() -> None:
    """Looks at what attnbench measured."""


def _refuse(error: Exception) -> typer.Exit:
    typer.echo(f"attnlab: {error}", err=True)
    return typer.Exit(2)


@app.command("new-variant")
def new_variant(
    name: Annotated[str, typer.Argument(help="lower-case words joined by _")],
    origin: Annotated[str, typer.Option("--from", help="the variant to start from")],
) -> None:
    """Adds a variant to the checkout of the current directory: one file and one line."""
    try:
        written = newvariant.make(Path.cwd(), name, origin)
    except newvariant.Refused as error:
        raise _refuse(error) from error
    for path in written:
        typer.echo(path.relative_to(Path.cwd()))
    typer.echo("Next: meson compile -C build && meson test -C build --suite variants; then write its idea.")


if __name__ == "__main__":
    app()
