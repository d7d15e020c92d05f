"""The `rnnzoo` command: one module beside this one is one command."""

import errno
import importlib
from pathlib import Path

import click

import rnnzoo


class Failure(click.ClickException):
    """An error of the library's as Click shows it: one line on standard error and an exit code."""

    def __init__(self, error):
        super().__init__(str(error))
        self.exit_code = 2 if isinstance(error, rnnzoo.InputError) else 1


class Commands(click.Group):
    """Commands that are found beside this module and imported when they are called."""

    def list_commands(self, ctx):
        files = Path(__file__).parent.glob("*.py")
        return sorted(path.stem for path in files if path.stem != "main" and not path.stem.startswith("_"))

    def get_command(self, ctx, name):
        if name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"rnnzoo.cli.{name}").command

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except rnnzoo.RnnzooError as error:
            raise Failure(error) from None
        except rnnzoo.RunInterrupted as error:
            click.echo(f"Stopped: {error}", err=True)
            raise click.exceptions.Exit(128 + error.signal) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # Click ends quietly when the reader of a pipe has gone
                raise
            raise Failure(error) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rnnzoo.__version__, prog_name="rnnzoo")
def cli():
    """A zoo of vanilla recurrent networks.

    Begin with `rnnzoo list`, `rnnzoo predict digit-sum 1294`, or `rnnzoo train digit-sum`.
    """


if __name__ == "__main__":
    cli()
