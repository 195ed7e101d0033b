"""One JSON line to a process of the sandbox and one back, without waiting for it in the way of anything else.

The rule: it ends in time, well or with an OSError; what was refused is a ValueError with the words of the refusal.
"""

import asyncio
import json
from typing import Any


async def say(port: int, question: dict[str, object], patience: float) -> dict[str, Any]:
    """Ask the chain or the side door of a daemon.

    Args:
        port: on loopback.
        question: such as ``{"cmd": "height"}``.
        patience: seconds for all of it.

    Raises:
        OSError: nobody answered in time.
        ValueError: it was refused, or what came is no answer.
    """
    async with asyncio.timeout(patience):  # TimeoutError is an OSError
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("what came is no answer")  # noqa: TRY004 - of whoever answered, not a type of ours
    if "error" in answer:
        raise ValueError(str(answer["error"]))
    return answer
