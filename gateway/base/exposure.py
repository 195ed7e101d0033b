"""From where the operators' door can be reached, and what should be known about that.

Rule: what is allowed and dangerous is said at each start, in the log and on the page; nobody has to look for it.
"""

import ipaddress
from typing import TYPE_CHECKING

from gateway.base.people import LEAST_MEMORY, LEAST_TOKEN, memory_of

if TYPE_CHECKING:
    from gateway.base.config import Admin

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a door that listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK


def without_tls(admin: "Admin") -> list[str]:
    """Return the warning of a door that strangers may listen to; nothing where they cannot."""
    if is_loopback(admin.host) or admin.tls is not None:
        return []
    if not (admin.is_closed or admin.token.get_secret_value()):
        return [f"admin.host {admin.host} is reached from elsewhere without TLS; set admin.tls, or 127.0.0.1"]
    remedy = "set admin.tls, or let only a TLS proxy and a network of your own reach it"
    return [f"admin.host {admin.host} takes passwords and tokens without TLS, to be read on the way; {remedy}"]


def about_admin(admin: "Admin") -> list[str]:
    """Return what is allowed at the operators' door and should be known: one sentence each."""
    found = without_tls(admin)
    if not is_loopback(admin.host) and not admin.is_closed:
        found.append(
            f"admin.host {admin.host} shows the state of the wallets to whoever reaches it; admin.users asks who it is"
        )
    tokens = [("admin.token", admin.token), *((f"admin.tokens {one.name}", one.token) for one in admin.tokens)]
    found += [
        f"{name} has fewer than {LEAST_TOKEN} characters and could be guessed; take 32 random letters"
        for name, token in tokens
        if 0 < len(token.get_secret_value().strip()) < LEAST_TOKEN
    ]
    found += [
        f"the password hash of {one.name} takes little memory, so that passwords are cheaply guessed from it; make a "
        "new one by `ec-gateway hash-password`"
        for one in admin.users
        if memory_of(one.password_hash.get_secret_value()) < LEAST_MEMORY
    ]
    return found
