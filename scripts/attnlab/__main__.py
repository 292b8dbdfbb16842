# SPDX-License-Identifier: Apache-2.0
"""The command line: python -m attnlab, or attnlab."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from attnlab import newvariant

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="run directories, or their results.h5")]


class Format(StrEnum):
    MARKDOWN = "md"
    CSV = "csv"


def _refuse(error: object) -> typer.Exit:
    typer.echo(f"attnlab: {error}", err=True)
    return typer.Exit(2)


def _read(where: list[Path]) -> list:
    """All runs, or a refusal: two of one name would overwrite each other's files."""
    from attnlab import results, studies

    try:
        runs = [studies.read(path) if studies.is_study_file(path) else results.read(path) for path in where]
    except results.Unreadable as error:
        raise _refuse(error) from error
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise _refuse("two of these runs have the same name; give them one at a time")
    return runs


@contextmanager
def _writing() -> Iterator[None]:
    """A place that cannot be written to is told, not traced."""
    try:
        yield
    except OSError as error:
        typer.echo(f"attnlab: {error}", err=True)
        raise typer.Exit(1) from error


@app.callback()
def attnlab() -> None:
    """Looks at what attnbench measured."""


@app.command()
def tables(
    where: Runs,
    form: Annotated[Format, typer.Option("--format", help="for people, or for programs")] = Format.MARKDOWN,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="a directory to write NAME.md into")] = None,
) -> None:
    """Prints a table of each run, every point or claim a row; with -o writes it."""
    from attnlab import studytables
    from attnlab import tables as runtables
    from attnlab.studies import StudyRun

    for run in _read(where):
        writer = studytables if isinstance(run, StudyRun) else runtables
        text = writer.markdown(run) if form is Format.MARKDOWN else writer.comma_separated(run)
        if output is None:
            typer.echo(text, nl=False)
            continue
        path = output / f"{run.name}.{form.value}"
        with _writing():
            output.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        typer.echo(path)


@app.command()
def figures(
    where: Runs,
    output: Annotated[Path, typer.Option("-o", "--output", help="the directory to write into")] = Path(),
) -> None:
    """Writes what each run has to show: time against length or by variant, scaling, accuracy against speed,
    rows under their roofs; of studies what was measured beside what was expected."""
    runs = _read(where)
    from attnlab import figures as runfigures
    from attnlab import studyfigures
    from attnlab.studies import StudyRun

    for run in runs:
        drawer = studyfigures if isinstance(run, StudyRun) else runfigures
        with _writing():
            written = drawer.write(run, output)
        for path in written:
            typer.echo(path)
        if not written:
            typer.echo(f"attnlab: {run.path} holds no measured point to draw", err=True)
            raise typer.Exit(2)


@app.command()
def encode(
    where: Annotated[Path, typer.Argument(metavar="FILE", help="UTF-8 text, one text per line")],
    output: Annotated[Path, typer.Option("-o", "--output", help="the .npy file to write: [lines, 384], unit norm")],
    variant: Annotated[str, typer.Option(help="the attention inside the model; attnbench list names them")] = "flash",
    isa: Annotated[str | None, typer.Option(help="ISA level; the highest this machine runs when left out")] = None,
    threads: Annotated[int, typer.Option(help="threads of the model")] = 1,
) -> None:
    """Embeds lines of text with MiniLM-L6, its attention any variant."""
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from attnlab import encode as encoder
    from attnlab import native

    try:
        lines = encoder.read_lines(where)
        model = encoder.Model()
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"encoding {where.name}", total=len(lines))
            vectors = model.encode(lines, variant, isa, threads, lambda count: progress.advance(task, count))
        with output.open("wb") as file:
            np.save(file, vectors)
    except (encoder.Refused, ValueError, native.Unsupported, OSError) as error:
        raise _refuse(error) from error


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
