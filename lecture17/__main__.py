"""`python -m lecture17 …`: the course from the command line."""

import os
import signal
import sys

try:
    here = os.getcwd()
except FileNotFoundError:
    sys.exit("the folder that you are in does not exist any more: go to another with `cd`")
if __name__ == "__main__" and sys.path[0] == here:  # where a learner's random.py would be Python's for all
    sys.path.append(sys.path.pop(0))
    if "" in os.environ.get("PYTHONPATH", "").split(os.pathsep):  # an empty entry is this folder, too
        sys.path.sort(key=here.__eq__)

import errno
from pathlib import Path
from typing import Annotated, Any

import typer

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # jsonschema does without; it loads slowly


class _Commands(typer.core.TyperGroup):
    """The commands, of which each says in a line what the system refuses: no course here, a full disk."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was called."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads any more: that ends it without a word
                raise
            raise _fail(error) from None


app = typer.Typer(
    cls=_Commands,
    help="The course from the command line. Learners need: lab, grade, progress, hint, reset, update, doctor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _also_write(what: str) -> Any:
    """An option for the file of a report, which must not replace a notebook, as `--json exercises/*.ipynb` would."""

    def not_a_notebook(path: Path | None) -> Path | None:
        if path is not None and path.suffix in (".ipynb", ".py"):
            raise typer.BadParameter(f"this is the file to write, and {path} is a notebook: expected another name")
        return path

    return typer.Option(help=f"Also write {what}.", callback=not_a_notebook)


def _fail(error: Exception) -> typer.Exit:
    """Say what is wrong, without a traceback, and end with status 1."""
    message = error.args[0] if isinstance(error, KeyError) else str(error)
    typer.echo(message, err=True)
    return typer.Exit(1)


@app.command()
def grade(
    paths: Annotated[list[Path] | None, typer.Argument(help="Notebooks or folders; by default exercises/.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds of processor time a cell may take.", min=1)] = 15.0,
    json: Annotated[Path | None, _also_write("the grades to this file as JSON")] = None,
    junit: Annotated[Path | None, _also_write("the grades to this file as JUnit XML")] = None,
    markdown: Annotated[Path | None, _also_write("the grades to this file as a table")] = None,
) -> None:
    """Grade your exercises: a verdict and a reason for each. Your files are read, never written.

    The exit status is 0 if all points are earned, 1 if any are missing, and 130 after Ctrl-C.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from .course.checking import PASSED, UNFILLED
    from .course.paths import EXERCISES, home, write_atomically
    from .grading import grade as grading
    from .grading import report

    console = Console()
    notes: list[str] = []
    grades = grading.grade(paths or [home() / EXERCISES], timeout, notes.append)
    for note in notes:
        console.print(note, highlight=False)
    names = report.names(grades)
    width = max(map(len, names), default=0)
    for g, name in zip(grades, names, strict=True):
        line = Text(f"{name:<{width}}  {g.earned:>3} of {g.points}  ")
        console.print(line.append(g.verdict, "green" if g.verdict == PASSED else ""))
        if g.headline and g.verdict != UNFILLED:  # what there is to do is in the notebook
            console.print(Padding(Text(g.headline), (0, 0, 0, 4)))
    earned, points = report.total(grades)
    console.print(f"{earned} of {points} points", highlight=False)
    texts = report.to_json(grades, notes), report.to_junit(grades), report.to_markdown(grades)
    for path, text in zip((json, junit, markdown), texts, strict=True):
        if path is not None:
            try:
                write_atomically(path, text)
            except OSError as error:
                raise _fail(OSError(f"{path} could not be written: {error}")) from None
    if any(g.verdict == grading.INTERRUPTED for g in grades):
        raise typer.Exit(130)
    raise typer.Exit(1 if any(g.missing for g in grades) or not grades else 0)


@app.command()
def progress() -> None:
    """Show which exercises you have passed, and which is next."""
    from .course.progress import summary

    typer.echo(summary())


@app.command()
def hint(
    exercise: Annotated[str, typer.Argument(help="The exercise's id, for example 00_quickstart-matrix.")],
    number: Annotated[int | None, typer.Argument(help="Which hint; without it, their titles.")] = None,
) -> None:
    """Show the hints of an exercise, titled by what you see go wrong."""
    from .course.hints import hint_text

    try:
        typer.echo(hint_text(exercise, number, "`python -m lecture17 hint {} 1`"))
    except (KeyError, ValueError) as error:
        raise _fail(error) from None


@app.command()
def reset(exercise: Annotated[str, typer.Argument(help="The exercise's id.")]) -> None:
    """Empty the answer cell of one exercise, after a backup of your notebook."""
    from .course import exercises, learner
    from .course.paths import EXERCISES, home

    try:
        found = exercises.get(exercise)
        path = home() / EXERCISES / f"{found.stem}.ipynb"
        copy = learner.reset(found.id, path, home())
    except (KeyError, ValueError) as error:
        raise _fail(error) from None
    typer.echo(f"{found.id} is empty again; {path.name} as it was before is in {copy}")


@app.command()
def update(
    source: Annotated[
        str | None, typer.Argument(help="A git remote or address; by default where this clone came from.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="The branch there.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last update.")] = False,
) -> None:
    """Bring a newer course into this clone with git. Your answers stay, a backup comes first, and --undo goes back."""
    from .course import update as updating
    from .course.paths import home

    try:
        typer.echo(updating.undo(home()) if undo else updating.update(home(), source, branch))
    except updating.CannotUpdate as error:
        raise _fail(error) from None


@app.command()
def build(
    stems: Annotated[
        list[str] | None, typer.Argument(help="Notebooks by stem, for example 03b_duality; by default all.")
    ] = None,
    run: Annotated[
        bool, typer.Option(help="Execute notebooks/ and solutions/; with --no-run, only exercises/ is built.")
    ] = True,
    full: Annotated[bool, typer.Option("--full", help="Train networks in full, which takes minutes.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only name sources whose notebook is out of date.")] = False,
) -> None:
    """Build the notebooks from their .py sources, and exercises/ from solutions/. Answers in exercises/ are kept.

    `build --no-run` also repairs exercises: it restores cells that were deleted and checks that were changed.
    """
    from .course.build import build as build_all
    from .course.build import sources, stale
    from .course.paths import home

    stems = [Path(name).stem for name in stems or ()]
    if unknown := sorted({*stems} - {source.stem for source in sources(home())}):
        raise typer.BadParameter(f"no notebook is called {', '.join(unknown)}", param_hint="stems")
    if check:
        for source in (found := stale(home())):
            typer.echo(f"{source.relative_to(home())} has changed since its notebook was built: build {source.stem}")
        raise typer.Exit(1 if found else 0)
    changed = build_all(home(), stems or None, run, full)
    typer.echo("\n".join(str(p.relative_to(home())) for p in changed) or "nothing changed")


@app.command()
def bench(
    quick: Annotated[bool, typer.Option(help="Short sequences only, in half a minute.")] = False,
    json: Annotated[Path | None, _also_write("the rows to this file as JSON")] = None,
    explorers: Annotated[bool, typer.Option("--explorers", help="Instead: how fast pictures follow a slider.")] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Instead: Triton's kernels and PyTorch on a CUDA GPU.")] = False,
) -> None:
    """Measure every mixer in every form on this machine: time, memory and FLOPs, compared with attention.

    of bmm: share of the rate of batched 64 × 64 × 64 products. × sdpa: how many times faster than PyTorch's causal
    attention; × loop: than its own recurrent form. ÷ N/4: time divided by that for a quarter of the tokens.
    backward: in forward passes. memory: peak beyond the inputs, as a multiple of the bytes of inputs and outputs.
    """
    import torch
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from . import bench as benchmark

    console = Console(width=110)
    if explorers:
        from .widgets.redraws import redraws

        for each in redraws():
            words = f"{each.browser:.1f} ms a move, {each.kernel:.0f} ms drawn by the kernel; first {each.first:.0f} ms"
            console.print(f"{each.explorer:<30} {each.label:<16} {words}", highlight=False)
        return
    if gpu and not torch.cuda.is_available():
        raise typer.BadParameter("PyTorch finds no CUDA GPU here", param_hint="--gpu")
    measured = benchmark.backends("cuda", quick) if gpu else benchmark.run(quick)
    rows = list(track(measured, "measuring", console=Console(stderr=True), transient=True, total=None))
    table = Table(box=None, pad_edge=False)
    columns = [(name, *cells) for name, *cells in zip(benchmark.HEADER, *map(benchmark.cells, rows), strict=True)]
    names, *lines = zip(*(column for column in columns if any(column[1:])), strict=True)
    for i, name in enumerate(names):
        table.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    console.print(table)
    console.print(benchmark.machine(gpu), highlight=False)
    if json is not None:
        json.write_text(benchmark.to_json(rows, gpu), encoding="utf-8")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the quick start. Options go to JupyterLab, for example --no-browser or --port 9999."""
    from .course.lab import start

    start(context.args)


@app.command()
def doctor() -> None:
    """Check this installation: versions, kernel, widgets, memory, and one exercise solved end to end."""
    from .course.doctor import examine

    raise typer.Exit(0 if examine(typer.echo) else 1)


if __name__ == "__main__":
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by who started this
        stream.reconfigure(errors="replace")  # of what the terminal cannot show
    # What cancels a job, and a closed terminal, end it as Ctrl-C does, which cleans up. Windows has no SIGHUP.
    for sent in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(sent) == signal.SIG_DFL:
            signal.signal(sent, signal.default_int_handler)
    if os.environ.get("COLUMNS") == "0":  # as programs say that start a terminal without a window; Rich prints nothing
        del os.environ["COLUMNS"]
    try:
        Path.home()
    except RuntimeError:  # a user whom the system does not know, as in some containers
        os.environ["HOME"] = os.sep
    app(prog_name="python -m lecture17")
