"""The methods of the sandbox daemon, by the names and parameters of the real one.

The rule: each of the 78 names is registered; those that would need keys, tokens or the outside world answer an
error that names the method and the sandbox, so that nobody takes silence for success.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from gateway.sandbox.commands_invoices import InvoiceCommands
from gateway.sandbox.commands_money import MoneyCommands
from gateway.sandbox.commands_reads import ReadCommands
from gateway.sandbox.node import VERSION

# What has no meaning here: secrets, other keys than the wallet's, tokens, files, other people's servers.
ABSENT = (
    "check_electrum_seed",
    "consolidatecoins",
    "create",
    "createmultisig",
    "decrypt",
    "encrypt",
    "get",
    "getalias",
    "getconfig",
    "getmasterprivate",
    "getmerkle",
    "getmpk",
    "getprivatekeys",
    "getseed",
    "importprivkey",
    "make_electrum_seed",
    "make_seed",
    "notify",
    "password",
    "restore",
    "rpa_extract_private_keys_from_transaction",
    "rpa_generate_paycode",
    "rpa_generate_transaction_from_paycode",
    "serialize",
    "setconfig",
    "signmessage",
    "signrequest",
    "signtransaction",
    "sweep",
    "token_history",
    "verifymessage",
    "run_cmdline",
)

# Registered by the daemon itself; help and commands do not show them.
OUTSIDE = ("ping", "gui", "daemon", "run_cmdline")


class NotInTheSandboxError(Exception):
    """The method exists, but the sandbox has nothing to do it with."""


class Commands(ReadCommands, InvoiceCommands, MoneyCommands):
    """All methods that do something."""

    def ping(self) -> bool:
        """Say that the RPC thread runs."""
        return True

    def version(self) -> str:
        """The version, with SANDBOX in it."""
        return VERSION

    def help(self) -> list[str]:
        """The names of all commands."""
        return sorted(set(registered(self)) - set(OUTSIDE))

    def commands(self) -> str:
        """The names of all commands, in one line."""
        return " ".join(self.help())

    def gui(self, config_options: object) -> str:
        """A daemon has no window."""
        del config_options
        return "Error: Electron Cash is running in daemon mode. Please stop the daemon first."

    def daemon(self, config_options: dict[str, Any]) -> object:
        """Carry out a subcommand: status, load_wallet, close_wallet, stop."""
        subcommand = config_options.get("subcommand")
        match subcommand:
            case None:
                return "Daemon already running"
            case "status":
                status = self.getinfo()
                del status["default_wallet"]
                return status
            case "load_wallet":
                self._node.load()
                return True
            case "close_wallet":
                return self._node.close()
            case "stop":
                return self.stop()
        return f"Unrecognized subcommand {subcommand!r}"

    def load_wallet(self) -> bool:
        """Load the wallet from its file."""
        self._node.load()
        return True

    def close_wallet(self) -> bool:
        """Save and close the wallet; false where none was open."""
        return self._node.close()

    def stop(self) -> str:
        """Save the wallet and end after this answer; the only end that saves."""
        self._node.stop()
        return "Daemon stopped"

    def check_seed(self, seed: object) -> NoReturn:
        """Gone from the real daemon too."""
        del seed
        raise NotImplementedError("check_seed has been removed.  Use check_electrum_seed instead.")

    def dumpprivkeys(self) -> str:
        """Only a text, there as here."""
        return "This command is deprecated. The sandbox has no private keys."


def registered(commands: Commands) -> dict[str, Callable[..., object]]:
    """All 78 methods by name."""
    names = [name for name in dir(commands) if not name.startswith("_")]
    methods: dict[str, Callable[..., object]] = {name: getattr(commands, name) for name in names}
    return methods | {name: _absent(name) for name in ABSENT}


def _absent(name: str) -> Callable[..., object]:
    def method(*_args: object, **_kwargs: object) -> NoReturn:
        raise NotInTheSandboxError(f"{name} has no meaning in the sandbox")

    return method


def _name_alike() -> None:
    """Let errors about parameters speak of ``Commands.payto()``, wherever here the method is written."""
    for owner in Commands.__mro__[:-1]:
        for name, method in vars(owner).items():
            if callable(method) and not name.startswith("_"):
                method.__qualname__ = "Daemon.run_daemon" if name == "daemon" else f"Commands.{name}"


_name_alike()
