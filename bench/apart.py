"""The gateway's program with one thing left out: no two calls share a flight, however alike they are.

Use: apart.py, and then what `ec-gateway` takes.  There is no setting for it, for nobody is to want it.
"""

from gateway.cli import main
from gateway.flow.coalesce import Flights
from gateway.flow.errand import Errand


def nothing(_self: Flights, _method: str, _params: bytes, _generation: int) -> Errand | None:
    """Find no flight to join."""
    return None


if __name__ == "__main__":
    setattr(Flights, "find", nothing)  # noqa: B010 - a method of another class is replaced, and that is the point
    main()
