"""The arguments of a call by name, however they were written.

Rule: what is written by position is read in the daemon's own order; one that is written both ways cannot be, and a
name or a place that the method does not have is told with the names that it has.
"""

import msgspec

from gateway.profiles import Method

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def arguments(method: Method, params: bytes) -> dict[str, bytes]:
    """Return the raw JSON of each argument that was given, by name.

    Args:
        params: raw JSON, a list or an object, or b"" for none.

    Raises:
        ValueError: there are more than the method has, or one that it has not.
    """
    if not params:
        return {}
    takes = f"{method.name} takes {', '.join(method.params) or 'no arguments'}"
    if params.lstrip()[:1] == b"[":
        given = _decode_list(params)
        if len(given) > len(method.params):
            raise ValueError(f"{len(given)} arguments are too many; {takes}")
        return {name: bytes(value) for name, value in zip(method.params, given, strict=False)}
    named = {name: bytes(value) for name, value in _decode_object(params).items()}
    unknown = sorted(set(named) - set(method.params))
    if unknown:
        raise ValueError(f"{unknown[0][:100]} is not an argument; {takes}")
    return named
