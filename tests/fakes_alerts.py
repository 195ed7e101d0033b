"""Fakes for alerts: messages, and a sink that does what it is told to."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from gateway.base.care import Sink as SinkSettings
from gateway.observe.sinks import Message, SinkError


def message(**changes: Any) -> Message:
    """An opening, or what `changes` make of it."""
    fields: dict[str, Any] = {
        "id": "life-1-1",
        "type": "alert.opened",
        "incident": "life-1",
        "alert": "all_down/main",
        "kind": "all_down",
        "severity": "critical",
        "wallet": "main",
        "backend": "",
        "title": "no daemon serves",
        "text": "main answers nothing (ec-1: silent)",
        "at": 1_764_302_400.5,
        "opened_at": 1_764_302_398.5,
        "seconds": 2.0,
        "facts": {"serving": 0, "backends": 1},
        "gateway": "here",
    }
    return Message(**{**fields, **changes})


def sink(**changes: Any) -> SinkSettings:
    """Settings of a webhook."""
    fields: dict[str, Any] = {
        "name": "pager",
        "kind": "webhook",
        "url": "https://alerts.example.net/hook",
        "secret": "a secret of more than sixteen letters",
    }
    return SinkSettings(**{**fields, **changes})


@dataclass
class FakeSink:
    """A sink that keeps what it takes.

    Args:
        trouble: raised instead of taking anything, while it is set.
        takes: seconds that one message takes; infinity for one that never comes back.
    """

    trouble: Exception | None = None
    takes: float = 0.0
    taken: list[Message] = field(default_factory=list)
    tries: int = 0
    is_closed: bool = False

    async def send(self, one: Message) -> None:
        """Take a message, or do not."""
        self.tries += 1
        await asyncio.sleep(self.takes)
        if self.trouble is not None:
            raise self.trouble
        self.taken.append(one)

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True

    @property
    def types(self) -> list[str]:
        """What was taken, by type."""
        return [one.type.removeprefix("alert.") for one in self.taken]


AWAY = SinkError("it cannot be reached")
