"""Reads what a daemon answers to its semantic probe.

Rule: `connected` and `is_synchronized` are not believed, because a real daemon keeps claiming both for
minutes after its server fell silent; the two heights are compared instead.
"""

from dataclasses import dataclass

import msgspec

from gateway.base.levels import Level
from gateway.profiles import Profile


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe showed; heights are None where the daemon names none."""

    level: Level
    height: int | None = None
    server_height: int | None = None
    connected: bool | None = None


class _Info(msgspec.Struct):
    """The members of getinfo that tell how a daemon is."""

    wallets: dict[str, bool] = {}
    blockchain_height: int = 0
    server_height: int = 0
    connected: bool = False


class _Wallet(msgspec.Struct):
    """One entry of list_wallets."""

    path: str = ""


_decode_info = msgspec.json.Decoder(_Info).decode
_decode_wallets = msgspec.json.Decoder(list[_Wallet]).decode


def read_probe(profile: Profile, result: bytes, lag: int = 1) -> Probe:
    """Return the level of up that the raw result of a probe proves.

    Args:
        profile: says which method was asked.
        result: raw JSON.
        lag: blocks that the daemon's chain may be away from its server's height.
    """
    try:
        if profile.probe_style == "list_wallets":
            return Probe(Level.LOADED if _decode_wallets(result) else Level.ANSWERS)
        info = _decode_info(result)
    except (msgspec.MsgspecError, RecursionError):
        # "Daemon offline" comes as a plain string, and with HTTP 200
        return Probe(Level.ANSWERS)
    height, server = info.blockchain_height, info.server_height
    if not info.wallets:
        level = Level.ANSWERS
    elif all(info.wallets.values()) and info.connected and server > 0 and abs(server - height) <= lag:
        level = Level.SYNCED
    else:
        level = Level.LOADED
    return Probe(level, height, server, info.connected)
