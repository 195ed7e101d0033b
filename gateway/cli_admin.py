"""`ec-gateway hash-password`: what the configuration holds of a password of somebody who signs in.

Rule: a password is read without echo or from standard input, never from the command line, which other users of the
machine can read; it is not printed and not kept.
"""

import sys

import click

from gateway.edge.passwords import LONGEST, hash_of

SHORTEST = 8
"""Characters; fewer are guessed from a hash that was stolen, whatever it costs."""

SAID = "write it into the configuration as admin.users, password_hash, or into a file that password_hash_file names"


@click.command("hash-password")
def hash_password() -> None:
    """Print the hash of a password for admin.users in the configuration.

    Asks twice, without echo; where standard input is no terminal, its first line is the password.
    """
    if is_typed():
        password = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    else:
        try:
            password = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            _refuse("a password is text in UTF-8")
    if len(password) < SHORTEST:
        _refuse(f"a password has at least {SHORTEST} characters; take three or four words")
    if len(password) > LONGEST:
        _refuse(f"a password has at most {LONGEST} characters")
    click.echo(hash_of(password))
    if sys.stdout.isatty():
        click.echo(SAID, err=True)


def is_typed() -> bool:
    """Return whether somebody types."""
    return sys.stdin.isatty()


def _refuse(why: str) -> None:
    click.echo(why, err=True)
    sys.exit(1)


COMMANDS = (hash_password,)
