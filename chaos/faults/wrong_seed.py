"""A daemon comes back with another wallet in its place: another seed, other addresses, other coins.

Rule: the gateway starts the daemons by a command of ours, which looks into a file for the seed at each start.
"""

from typing import TYPE_CHECKING

from chaos.wallets import NobodyThereError

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.stage import Stage


class WrongSeed:
    """SIGKILL, and a start with another seed."""

    name = "wrong_seed"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "wipe"
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Let each daemon look for its seed."""
        for n, launcher in enumerate(stage.launchers):
            command = launcher["command"]
            place = command.index("tests.checker.daemon")
            launcher["command"] = [*command[:place], "chaos.seeded", str(self._file(stage, n)), *command[place + 1 :]]

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Let the next life be another wallet, and end this one."""
        if not stage.launchers:
            raise NobodyThereError
        self._file(stage, target).write_text(f"not {stage.seed}", encoding="utf-8")
        await stage.wallets[target].kill()

    async def heal(self, stage: "Stage", target: int) -> None:
        """Let the next life be the right one, and end the wrong one."""
        file = self._file(stage, target)
        if file.exists():
            file.unlink()
            wallet = stage.wallets[target]
            if wallet.is_alive:
                await wallet.kill()

    def _file(self, stage: "Stage", target: int) -> "Path":
        return stage.folder / f"seed-{target}"
