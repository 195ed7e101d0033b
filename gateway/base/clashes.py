"""What fits alone and not together: names that are there twice, names that name nothing, doors that nobody may use.

Rule: it looks at plain values of any shape and passes over those that are wrong in themselves, so that
these mistakes are told in the same run as all the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway.base.exposure import is_loopback
from gateway.base.people import OWN_TOKEN

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """One contradiction: where it is, what it is, what would be right."""

    place: Place
    message: str
    remedy: str


def clashes(settings: object) -> Iterator[Clash]:
    """Yield every contradiction in settings as plain values."""
    top = _mapping(settings)
    wallets = _mapping(top.get("wallets"))
    for name, wallet in wallets.items():
        yield from _of_wallet(("wallets", name), _mapping(wallet))
        if top.get("ledger") and _mapping(wallet).get("mirror") is False:
            message = "with a ledger the standbys must list what it gives out"
            yield Clash(("wallets", name, "mirror"), message, "take the line out, or take ledger out")
    yield from _of_addresses(top, wallets)
    if isinstance(top.get("ledger"), dict):
        yield from _of_ledger(_mapping(top.get("ledger")))
    if top.get("cluster") is not None:
        yield from _of_cluster(top, wallets)
    yield from _of_admin(_mapping(top.get("admin")))
    clients = _entries(top.get("clients"))
    yield from _twice(("clients",), clients, "name", "two clients are called {}", "give each its own name")
    yield from _twice(("clients",), clients, "username", "two clients sign in as {}", "give each its own user name")
    for place, client in clients:
        named = client.get("wallets", ["main"])
        for index, name in enumerate(named if isinstance(named, list | tuple) else ()):
            if isinstance(name, str) and wallets and name not in wallets:
                at: Place = ("clients", place, "wallets", index) if "wallets" in client else ("clients", place)
                remedy = f"name some of {', '.join(sorted(wallets))} in its `wallets:`"
                yield Clash(at, f"may call the wallet {name}, and there is none of that name", remedy)
    if not top.get("clients") and not top.get("anonymous"):
        yield Clash((), "nobody could call: there are no clients", "list one, or set anonymous: true on loopback")


def _of_wallet(place: Place, wallet: dict[str, object]) -> Iterator[Clash]:
    backends = _entries(wallet.get("backends"))
    message = "two backends are called {}"
    yield from _twice((*place, "backends"), backends, "name", message, "give each its own name")
    names = [name for _, backend in backends if isinstance(name := backend.get("name"), str)]
    primary = wallet.get("primary")
    if names and isinstance(primary, str) and primary not in names:
        message = f"{primary} is not one of the backends"
        yield Clash((*place, "primary"), message, f"name one of {', '.join(names)}")


def _of_ledger(ledger: dict[str, object]) -> Iterator[Clash]:
    """A ledger is a file or a database."""
    path, url = ledger.get("path"), ledger.get("url")
    if path and url:
        remedy = "keep path for one gateway, or url for several"
        yield Clash(("ledger", "path"), "stands beside url, and a ledger is one of the two", remedy)
    elif not path and not url and (path is None or "url" in ledger):
        remedy = "add `path: ...` for one gateway, or `url: ...` for several"
        yield Clash(
            ("ledger", "url" if "url" in ledger else "path"), "is missing, and so is the other of the two", remedy
        )
    elif url and not ledger.get("key_file"):
        message = "is missing; gateways that compare by different keys would not know a payment again"
        yield Clash(("ledger", "key_file"), message, "name a file with the same 32 random bytes on each gateway")
    elif path and ledger.get("password"):
        yield Clash(("ledger", "password"), "means nothing for a file", "take it out, or write url instead of path")


def _of_cluster(top: dict[str, object], wallets: dict[str, object]) -> Iterator[Clash]:
    """Gateways meet in a database, and each of them can do what any other can."""
    ledger = _mapping(top.get("ledger"))
    if not ledger.get("url") and (ledger.get("url") is None or ledger.get("path")):
        message = "needs a database that the gateways share, and ledger.url names none"
        yield Clash(("cluster",), message, "write ledger.url, or take cluster out for a gateway alone")
    address = _mapping(top.get("cluster")).get("address")
    if _mapping(top.get("listen")).get("tls") and isinstance(address, str) and address.startswith("http:"):
        message = "is http, and listen.tls makes the door that it leads to https"
        yield Clash(("cluster", "address"), message, "write https:// and set cluster.ca_file, or take listen.tls out")
    for name, wallet in wallets.items():
        for index, backend in _entries(_mapping(wallet).get("backends")):
            if _mapping(backend.get("launcher")).get("kind") == "process":
                message = "is process, whose daemons are children of one gateway: no other could look after them"
                remedy = "take docker, supervisor or command, or take cluster out"
                yield Clash(("wallets", name, "backends", index, "launcher", "kind"), message, remedy)


def _of_admin(admin: dict[str, object]) -> Iterator[Clash]:
    """Somebody is one person with one role, and a door that asks nobody is on this machine alone."""
    users, tokens = _entries(admin.get("users")), _entries(admin.get("tokens"))
    yield from _twice(("admin", "users"), users, "name", "two users are called {}", "give each his own name")
    yield from _twice(("admin", "tokens"), tokens, "name", "two tokens are called {}", "give each its own name")
    taken = {_text(admin.get("token")): "admin.token"}
    for index, entry in tokens:
        place: Place = ("admin", "tokens", index, "token")
        if entry.get("name") == OWN_TOKEN and _text(admin.get("token")):
            message = f"{OWN_TOKEN} is the name of admin.token in the log"
            yield Clash(("admin", "tokens", index, "name"), message, "give it another one, or take admin.token out")
        if (token := _text(entry.get("token"))) in taken and token:
            yield Clash(place, f"is the token of {taken[token]} too", "make one for each; 32 random letters")
        taken.setdefault(token, f"admin.tokens {entry.get('name', index)}")
    if admin.get("open") is not True:
        return
    if isinstance(host := admin.get("host", "127.0.0.1"), str) and not is_loopback(host):
        message = f"lets whoever reaches {host} give orders"
        yield Clash(("admin", "open"), message, "set admin.host to 127.0.0.1, or list admin.users and take it out")
    if users:
        remedy = "take it out, or take the users out"
        yield Clash(("admin", "open"), "lets anybody order, and admin.users asks who it is", remedy)


def _text(value: object) -> str:
    """Return a text or a secret without what no token begins or ends with, "" for anything else."""
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    return secret.strip() if isinstance(secret, str) else ""


def _of_addresses(top: dict[str, object], wallets: dict[str, object]) -> Iterator[Clash]:
    """One address is one daemon or one door: listed twice it would get two calls of ours at once."""
    taken: dict[tuple[str, int, str], str] = {}
    for door, port in (("listen", 7777), ("admin", 7780)):
        section = _mapping(top.get(door))
        at = section.get("host", "127.0.0.1"), section.get("port", port)
        if isinstance(at[0], str) and isinstance(at[1], int) and at[1]:
            address = _same(at[0]), at[1], ""
            if address in taken:
                yield Clash((door, "port"), f"{at[1]} is the port of {taken[address]} too", "give each door its own")
            taken[address] = f"the door `{door}`"
    for name, wallet in wallets.items():
        for index, backend in _entries(_mapping(wallet).get("backends")):
            found = _address(backend.get("url"))
            if found is None:
                continue
            place: Place = ("wallets", name, "backends", index, "url")
            if found in taken:
                remedy = "one daemon is one backend of one wallet; take one of the two out"
                yield Clash(place, f"is the address of {taken[found]} too", remedy)
            taken[found] = f"backend {backend.get('name', index)} of {name}"


def _address(url: object) -> tuple[str, int, str] | None:
    """Return where a URL leads, None for one that is wrong in itself; the paths of a daemon all lead to it."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        port = parts.port if parts is not None else None
    except ValueError:
        return None
    if parts is None or not parts.hostname:
        return None
    path = "" if parts.path in ("", "/", "/RPC2") else parts.path
    return _same(parts.hostname), port or (443 if parts.scheme == "https" else 80), path


def _same(host: str) -> str:
    """Return one name for all the ways to write this machine."""
    return "127.0.0.1" if host.lower() in ("localhost", "::1", "0.0.0.0", "::") else host.lower()


def _twice(
    place: Place, entries: list[tuple[int, dict[str, object]]], key: str, message: str, remedy: str
) -> Iterator[Clash]:
    seen: set[str] = set()
    for index, entry in entries:
        value = entry.get(key)
        if isinstance(value, str):
            if value in seen:
                yield Clash((*place, index, key), message.format(value), remedy)
            seen.add(value)


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _entries(value: object) -> list[tuple[int, dict[str, object]]]:
    return [(i, one) for i, one in enumerate(value if isinstance(value, list | tuple) else ()) if isinstance(one, dict)]
