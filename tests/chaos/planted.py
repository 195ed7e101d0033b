"""The gateway with a fault of its own: `python -m tests.chaos.planted run -c FILE`.

Rule: it gives no address for eight seconds after a wallet first went out of service, and all else is as it should be;
a suite that does not see it would see no outage of addresses at all.
"""

import asyncio
from typing import Any

STOPS = 8.0


def stop_addresses() -> None:
    """Let whoever asks for an address wait."""
    from gateway.flow.allocate import Allocator  # noqa: PLC0415 - only the planted gateway needs it
    from gateway.rules.lifecycle import Phase  # noqa: PLC0415 - the same

    whole = Allocator.hand_out
    until: list[float] = []

    async def hand_out(self: Allocator, *arguments: Any, **more: Any) -> Any:
        if not until and any(one.phase is Phase.EJECTED for one in self.pool.backends):
            until.append(self.loop.time() + STOPS)
        if until:
            await asyncio.sleep(until[0] - self.loop.time())
        return await whole(self, *arguments, **more)

    setattr(Allocator, "hand_out", hand_out)  # noqa: B010 - that is the bug


if __name__ == "__main__":
    stop_addresses()
    from gateway.cli import main

    main()
