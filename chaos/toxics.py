"""A real Toxiproxy of a run: proxies in the ways between clients, door and wallets, and toxics in them.

Rule: what was asked for is there, or an error says why not.  The server takes unknown attributes and a toxicity of 7
without a word, and its client overlooks a server that failed, waits for ever, goes through a proxy of the environment
and keeps the server's address in a place that all servers of a process share; so what is sent is checked before, what
the server has is compared with it afterwards, and one call at a time is made.

    upstream     from whoever connects to whoever listens: requests
    downstream   the other way: answers
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import toxiproxy
from toxiproxy import api, exceptions

from chaos.needs import found
from chaos.programs import Program
from gateway.sandbox.ports import free_port

if TYPE_CHECKING:
    from chaos.stage import Stage

PATIENCE = 5.0
"""Seconds in which the server answers."""

ATTRIBUTES = {
    "latency": frozenset({"latency", "jitter"}),
    "bandwidth": frozenset({"rate"}),
    "slow_close": frozenset({"delay"}),
    "timeout": frozenset({"timeout"}),
    "reset_peer": frozenset({"timeout"}),
    "slicer": frozenset({"average_size", "size_variation", "delay"}),
    "limit_data": frozenset({"bytes"}),
}
"""What each kind takes: milliseconds, but for rate (kB/s), bytes and sizes (bytes), and the slicer's delay (us)."""

STREAMS = ("upstream", "downstream")

_TURN = threading.Lock()


class ToxicError(Exception):
    """Something that was asked for is not there; the text says what, and what the server said."""


@dataclass(frozen=True)
class Toxic:
    """One toxic as it is asked for.  Raises ValueError for what the server would take without a word.

    Args:
        toxicity: the share of connections that it befalls, 0 to 1.
    """

    kind: str
    stream: str
    attributes: Mapping[str, int] = field(default_factory=dict)
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ATTRIBUTES:
            raise ValueError(f"there is no toxic {self.kind!r}; there are {', '.join(ATTRIBUTES)}")
        if self.stream not in STREAMS:
            raise ValueError(f"a stream is one of {', '.join(STREAMS)}, not {self.stream!r}")
        unknown = set(self.attributes) - ATTRIBUTES[self.kind]
        if unknown:
            known = ", ".join(sorted(ATTRIBUTES[self.kind]))
            raise ValueError(f"{self.kind} has no {', '.join(sorted(unknown))}; it takes {known}")
        bad = {name: it for name, it in self.attributes.items() if type(it) is not int or it < 0}
        if bad:
            raise ValueError(f"attributes are whole numbers from 0, not {bad}")
        if not 0.0 <= self.toxicity <= 1.0:
            raise ValueError(f"toxicity is a share, 0 to 1, not {self.toxicity:g}")

    @property
    def name(self) -> str:
        """What it is called at its proxy."""
        return f"{self.kind}_{self.stream}"


class Toxics:
    """One server.

    Args:
        port: of its API, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    async def proxy(self, name: str, upstream: str, *, is_open: bool = True) -> int:
        """Put a proxy before a `HOST:PORT` and return its own port on loopback.  Raises ToxicError."""
        port = free_port()
        await self._call(self._create, name, upstream, port, is_open)
        return port

    async def open(self, proxy: str) -> None:
        """Let a proxy listen.  Raises ToxicError."""
        await self._call(self._switch, proxy, True)  # noqa: FBT003 - it is handed on

    async def shut(self, proxy: str) -> None:
        """Let nobody be listening: its connections end, and whoever comes is refused.  Raises ToxicError."""
        await self._call(self._switch, proxy, False)  # noqa: FBT003 - the same

    async def add(self, proxy: str, toxic: Toxic) -> None:
        """Let a toxic befall all connections of a proxy, open ones too.  Raises ToxicError."""
        await self._call(self._add, proxy, toxic)

    async def remove(self, proxy: str, toxic: Toxic) -> None:
        """Take a toxic away; nothing happens when it is not there.  Raises ToxicError."""
        await self._call(self._remove, proxy, toxic)

    async def toxics(self, proxy: str) -> tuple[str, ...]:
        """Return the names of the toxics of a proxy.  Raises ToxicError."""
        found: tuple[str, ...] = await self._call(lambda: tuple(self._proxy(proxy).toxics()))
        return found

    async def _call(self, what: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(self._at_mine, what, *arguments)

    def _at_mine(self, what: Any, *arguments: Any) -> Any:
        """Make a call while the client's one place for an address has this server's."""
        with _TURN:
            toxiproxy.Toxiproxy().update_api_consumer("127.0.0.1", self.port)
            try:
                return what(*arguments)
            except (exceptions.ProxyExists, exceptions.NotFound, exceptions.InvalidToxic, OSError) as error:
                raise ToxicError(f"{type(error).__name__}: {error}") from None

    def _create(self, name: str, upstream: str, port: int, is_open: bool) -> None:  # noqa: FBT001 - as it is handed on
        listen = f"127.0.0.1:{port}"
        made = toxiproxy.Toxiproxy().create(upstream=upstream, name=name, listen=listen, enabled=is_open)
        if (made.name, made.upstream, made.listen, made.enabled) != (name, upstream, listen, is_open):
            raise ToxicError(f"asked for {name} on {listen} before {upstream}; the server has {vars(made)}")

    def _switch(self, proxy: str, is_open: bool) -> None:  # noqa: FBT001 - the same
        one = self._proxy(proxy)
        if is_open:
            one.enable()
        else:
            one.disable()
        has = self._proxy(proxy)
        if (has.enabled, has.listen) != (is_open, one.listen):
            raise ToxicError(f"asked for {proxy} to be {'open' if is_open else 'shut'}; the server has {vars(has)}")

    def _proxy(self, name: str) -> Any:
        one = toxiproxy.Toxiproxy().get_proxy(name)
        if one is None:
            raise ToxicError(f"there is no proxy {name}; `proxy` makes one")
        return one

    def _add(self, proxy: str, toxic: Toxic) -> None:
        one = self._proxy(proxy)
        one.add_toxic(
            type=toxic.kind,
            stream=toxic.stream,
            name=toxic.name,
            toxicity=toxic.toxicity,
            attributes=dict(toxic.attributes),
        )
        has = one.get_toxic(toxic.name)
        if has is None:
            raise ToxicError(f"{toxic.name} was taken and is not there")
        # the server adds what was left out, as 0
        told = {name: it for name, it in has.attributes.items() if it or name in toxic.attributes}
        seen = (has.type, has.stream, has.toxicity, told)
        if seen != (toxic.kind, toxic.stream, toxic.toxicity, dict(toxic.attributes)):
            raise ToxicError(f"asked for {toxic}; the server has {vars(has)}")

    def _remove(self, proxy: str, toxic: Toxic) -> None:
        one = self._proxy(proxy)
        if one.get_toxic(toxic.name) is None:
            return
        one.destroy_toxic(toxic.name)
        if one.get_toxic(toxic.name) is not None:
            raise ToxicError(f"{toxic.name} was taken away and is still there")


class _Http:
    """What the client sends by instead of `requests`: with an end, to the server itself, and errors are errors."""

    def __init__(self, session: Any) -> None:
        self._session = session
        # neither a proxy of the environment nor its credentials
        session.trust_env = False
        # the server refuses whoever calls himself a browser
        session.headers["User-Agent"] = "ec-gateway-chaos"

    def get(self, **words: Any) -> Any:
        """Ask."""
        return self._send("GET", **words)

    def post(self, **words: Any) -> Any:
        """Make or change."""
        return self._send("POST", **words)

    def delete(self, **words: Any) -> Any:
        """Take away."""
        return self._send("DELETE", **words)

    def _send(self, verb: str, **words: Any) -> Any:
        answer = self._session.request(verb, timeout=PATIENCE, **words)
        # these three the client knows itself
        if answer.status_code >= 400 and answer.status_code not in {400, 404, 409}:
            raise ToxicError(f"{verb} {words.get('url')}: {answer.status_code} {answer.text.strip()[:300]}")
        return answer


api.requests = _Http(api.requests.Session())


async def server(stage: "Stage") -> Toxics:
    """Return the run's server, started when it is asked for first; it ends with the run."""
    if "toxiproxy" not in stage.keep:
        port = free_port()
        words = ["-host", "127.0.0.1", "-port", str(port), "-seed", str(stage.seed)]
        program = Program("toxiproxy", [found("toxiproxy-server") or "toxiproxy-server", *words], stage.folder)
        await stage.begin(program, port)
        stage.keep["toxiproxy"] = Toxics(port)
    toxics: Toxics = stage.keep["toxiproxy"]
    return toxics
