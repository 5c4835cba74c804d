"""`manifold completion`."""

import click
from click.shell_completion import get_completion_class

PROGRAM, COMPLETE_VARIABLE = "manifold", "_MANIFOLD_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes this command.

    For bash, add the line `eval "$(manifold completion bash)"` to ~/.bashrc; for zsh, the same with zsh to ~/.zshrc.
    For fish, write the script to ~/.config/fish/completions/manifold.fish.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    click.echo(kind(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE).source())
