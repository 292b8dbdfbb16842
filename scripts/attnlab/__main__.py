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
PIPE_COLUMNS = 240
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="run directories, or their results.h5")]


class Format(StrEnum):
    MARKDOWN = "md"
    CSV = "csv"


class Scale(StrEnum):
    ROOT = "root"
    D_K = "d_k"
    NONE = "none"


def _refuse(error: object) -> typer.Exit:
    typer.echo(f"attnlab: {error}", err=True)
    return typer.Exit(2)


def _console():
    """Colour on a terminal only; elsewhere lines as long as they need."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)


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
    from attnlab import peertables, studytables
    from attnlab import tables as runtables
    from attnlab.studies import StudyRun

    for run in _read(where):
        writer = studytables if isinstance(run, StudyRun) else runtables
        if form is Format.CSV:
            text = writer.comma_separated(run)
        elif writer is runtables and peertables.has_peers(run):
            text = peertables.markdown(run)
        else:
            text = writer.markdown(run)
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
def peers(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="an experiment whose variants name peers")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="the run directory; goes on with one")] = None,
    only: Annotated[str | None, typer.Option(metavar="REGEX", help="points whose label matches")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="one invocation and short times")] = False,
) -> None:
    """Measures other libraries beside our variants, and prints a table."""
    from rich.console import Console
    from rich.progress import Progress

    from attnlab import peers as driver
    from attnlab import peertables, results

    directory = output or driver.directory_name(config)
    try:
        with driver.opened(config, directory, only, quick) as run:
            console = Console(stderr=True)
            with Progress(console=console, disable=not console.is_terminal) as progress:
                total = len(run.points) * len(run.order)
                task = progress.add_task(config.stem, total=total, completed=len(run.journal.lines))
                run.measure(lambda line: progress.advance(task))
                run.compare_waiting()
        driver.rebuild(directory)
    except driver.Refused as error:
        typer.echo(f"attnlab: {error}", err=True)
        raise typer.Exit(error.code) from error
    except KeyboardInterrupt as error:
        typer.echo(f"attnlab: interrupted; -o {directory} goes on", err=True)
        raise typer.Exit(130) from error
    made = results.read(directory)
    typer.echo(peertables.markdown(made), nl=False)
    typer.echo(f"attnlab: {directory}", err=True)
    ours = {p.status for p in made.points if not peertables.is_peer(p)}
    raise typer.Exit(4 if "REJECTED" in ours else 3 if "FAILED" in ours else 0)


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


@app.command()
def throughput(
    texts: Annotated[Path | None, typer.Argument(help="UTF-8 text, one text per line; drawn ones if left out")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="the Markdown file to write too")] = None,
    variants: Annotated[
        str, typer.Option(metavar="LIST", help="attnbench list names them")
    ] = "naive,online_tiled,blas_unfused,flash",
    threads: Annotated[str, typer.Option(metavar="LIST", help="threads of the model")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1, help="timed passes of each contestant")] = 5,
    spin: Annotated[bool, typer.Option("--spin", help="idle threads wait as each library does by itself")] = False,
) -> None:
    """Measures how fast MiniLM-L6 encodes with each variant, beside other libraries, and prints a table."""
    from rich.console import Console
    from rich.progress import Progress

    from attnlab import encode as encoder
    from attnlab import native, peers
    from attnlab import throughput as driver

    driver.settle_environment(not spin)
    try:
        counts = driver.parse_threads(threads)
        model = encoder.Model()
        lines = encoder.read_lines(texts) if texts else driver.default_texts()
        ids = model.tokens(lines, f"{texts or 'drawn'}:{{}}")
        about = driver.provenance(driver.origin(), texts.name if texts else driver.DRAWN, ids, rounds, not spin)
        contestants = driver.ours(model, ids, variants.split(","), counts)
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("encoding", total=None)
            contestants += driver.rivals(model, ids, counts)
            progress.update(task, total=sum(c.run is not None for c in contestants) * (rounds + 1))
            driver.measure(contestants, rounds, lambda: progress.advance(task))
    except (encoder.Refused, peers.Refused, ValueError, native.Unsupported, OSError) as error:
        raise _refuse(error) from error
    text = driver.markdown(contestants, ids, about)
    typer.echo(text, nl=False)
    if output:
        with _writing():
            output.write_text(text)
    raise typer.Exit(4 if any(c.status == "REJECTED" for c in contestants) else 0)


@app.command()
def trace(
    text: Annotated[str | None, typer.Argument(help="a sentence for MiniLM-L6")] = None,
    table: Annotated[str | None, typer.Option(help="a worked table instead: cat5, cat6, s4, weightless, moved")] = None,
    layer: Annotated[int | None, typer.Option(help="of the model, from 0; 0 if left out")] = None,
    head: Annotated[int | None, typer.Option(help="of the layer; else the one that tells most of the query")] = None,
    query: Annotated[str | None, typer.Option(help="the token whose row is followed, or its position")] = None,
    scale: Annotated[Scale | None, typer.Option(help="what the head divides scores by: sqrt(d_k), d_k or 1")] = None,
    variant: Annotated[str, typer.Option(help="the attention beside the steps; attnbench list names them")] = "flash",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="a directory for a PNG of each head")] = None,
) -> None:
    """Follows attention step by step: tokens, scores, scaling, weights, weighted sum."""
    from attnlab import encode as encoder
    from attnlab import native, traceview
    from attnlab import trace as tracer

    console = _console()
    try:
        if (text is None) == (table is None):
            raise encoder.Refused("give a sentence or --table, and not both")
        if table is not None:
            if (layer, head) != (None, None):
                raise encoder.Refused("--layer and --head are of the model; a table is one head")
            chosen = [tracer.table(table, scale, query)]
        else:
            chosen = tracer.heads(encoder.Model(), text, layer or 0, scale or Scale.ROOT, query, variant)
            if head is not None:
                chosen = [chosen[tracer.within("head", head, len(chosen))]]
        answers = [tracer.answer(each.steps, variant) for each in chosen]
        first = tracer.most_telling(chosen) if len(chosen) > 1 else 0
        if len(chosen) > 1:
            traceview.overview(console, chosen, first)
        traceview.show(console, chosen[first], variant, answers[first])
        for path in traceview.write(chosen, variant, output) if output else []:
            typer.echo(path)
    except tracer.Disagreement as error:
        typer.echo(f"attnlab: {error}", err=True)
        raise typer.Exit(4) from error
    except (encoder.Refused, ValueError, native.Unsupported, OSError) as error:
        raise _refuse(error) from error


@app.command()
def senses(
    word: Annotated[str, typer.Argument(help="the word to compare")],
    sentences: Annotated[list[str] | None, typer.Argument(metavar="[SENTENCE...]", help="each holds the word")] = None,
    variant: Annotated[str, typer.Option(help="the attention inside the model; attnbench list names them")] = "flash",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="a directory for senses_WORD.png")] = None,
) -> None:
    """Compares one word across sentences: its static vector, and layer by layer those that have read the sentence."""
    from attnlab import encode as encoder
    from attnlab import native
    from attnlab import senses as comparer

    try:
        found = comparer.compare(encoder.Model(), word, list(sentences or comparer.SENTENCES), variant)
        comparer.show(_console(), found)
        if output:
            typer.echo(comparer.write(found, variant, output))
    except (encoder.Refused, ValueError, native.Unsupported, OSError) as error:
        raise _refuse(error) from error


@app.command()
def capture(
    texts: Annotated[list[Path], typer.Argument(metavar="TEXTS...", help="UTF-8 text, one text per line")],
    output: Annotated[Path, typer.Option("-o", "--output", help="the capture to write, FILE.h5")],
    groups: Annotated[
        str, typer.Option(metavar="LIST", help="layerN, scoresN, statesN, words; layer0-5 for several")
    ] = "layer0-5",
    variant: Annotated[str, typer.Option(help="the attention inside the model; attnbench list names them")] = "naive",
    threads: Annotated[int, typer.Option(help="threads of the model")] = 1,
    rounded: Annotated[bool, typer.Option("--bf16", help="round to bfloat16, for a file of less than half")] = False,
    append: Annotated[bool, typer.Option("--append", help="add to a capture that exists")] = False,
) -> None:
    """Writes what the layers of MiniLM-L6 hand to their attention, as input for attnbench."""
    from attnlab import capture as capturing
    from attnlab import encode as encoder
    from attnlab import native

    try:
        written = capturing.write(output, texts, capturing.parse(groups), variant, threads, rounded, append)
    except (encoder.Refused, ValueError, native.Unsupported, OSError) as error:
        raise _refuse(error) from error
    for path in written:
        typer.echo(path)


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
