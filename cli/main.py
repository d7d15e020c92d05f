"""The `rnnzoo` command: one module beside this one is one command."""

import contextlib
import errno
import importlib
import sys
from pathlib import Path

import click

import rnnzoo
from rnnzoo.files import NotWritten

# So many characters of an error are shown at the most: what is wrong may be a whole file.
LONG = 1000


class Failure(click.ClickException):
    """An error of the library's as Click shows it: one line on standard error and an exit code."""

    def __init__(self, error):
        super().__init__(_one_line(str(error)))
        self.exit_code = 2 if isinstance(error, rnnzoo.InputError) else 1


def _one_line(text):
    """A text whose every character can be seen: what is no such, and could move a terminal's cursor, is written out."""
    text = text if len(text) <= LONG else f"{text[: LONG - 300]} ... {text[-295:]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextlib.contextmanager
def _told():
    """What is wrong with the command line itself is told on one line, too."""
    try:
        yield
    except click.ClickException as error:
        error.message = _one_line(error.message)
        for name in ("option_name", "param_hint"):
            if isinstance(getattr(error, name, None), str):
                setattr(error, name, _one_line(getattr(error, name)))
        raise


class Commands(click.Group):
    """Commands that are found beside this module and imported when they are called."""

    def list_commands(self, ctx):
        files = Path(__file__).parent.glob("*.py")
        return sorted(path.stem for path in files if path.stem != "main" and not path.stem.startswith("_"))

    def get_command(self, ctx, name):
        if name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"rnnzoo.cli.{name}").command

    def make_context(self, *args, **kwargs):
        with _told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx):
        if hasattr(sys.stdout, "reconfigure"):  # a file's name may have what no encoding can write
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with _told():
                return super().invoke(ctx)
        except rnnzoo.RnnzooError as error:
            raise Failure(error) from None
        except rnnzoo.RunInterrupted as error:
            click.echo(f"Stopped: {error}", err=True)
            raise click.exceptions.Exit(128 + error.signal) from None
        except MemoryError as error:
            less = "fewer or shorter examples, or a smaller batch or model, need less"
            raise Failure(f"not enough memory{f' ({error})' if str(error) else ''}; {less}") from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # Click ends quietly when the reader of a pipe has gone
                raise
            if error.strerror and not isinstance(error, NotWritten):  # without the number
                error = ": ".join(map(str, filter(None, [error.filename, error.strerror])))
            raise Failure(error) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rnnzoo.__version__, prog_name="rnnzoo")
def cli():
    """A zoo of vanilla recurrent networks.

    Begin with `rnnzoo list`, `rnnzoo predict digit-sum 1294`, or `rnnzoo train digit-sum`.
    """


if __name__ == "__main__":
    cli()
