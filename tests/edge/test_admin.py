"""The operator's door."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.base.config import Admin
from gateway.edge.admin import AdminDoor
from gateway.edge.rpc import DoorCounters
from gateway.observe.metrics import Metrics


class State:
    """What the door is told."""

    why: dict[str, list[str]]
    draining = False

    def __init__(self) -> None:
        """Begin ready."""
        self.why = {"main": []}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics with nothing counted."""
    return Metrics(version="1", door=DoorCounters(), dropped_lines=lambda: 3)


async def test_it_tells_alive_from_ready(metrics: Metrics) -> None:
    """Ready fails while a wallet has nobody, and while draining; alive does not."""
    state = State()
    door = AdminDoor(
        Admin(port=0),
        ready=lambda: state.why,
        ailing=lambda: {"main": ["ec-2: wedged: silent"]},
        draining=lambda: state.draining,
        registry=metrics.registry,
    )
    await door.start()
    base = f"http://127.0.0.1:{door.port}"
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(base + path) as response:
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                return response.status, await response.text()

        code, text = await get("/readyz")
        assert code == 200
        assert "ec-2: wedged: silent" in text, "one sick backend is told of and fails nothing"
        state.why = {"main": ["ec-1: dead: refuses connections"]}
        code, text = await get("/readyz")
        assert code == 503
        assert "refuses connections" in text
        state.why, state.draining = {"main": []}, True
        assert (await get("/readyz"))[0] == 503
        assert await get("/livez") == (200, "ok\n")
        code, text = await get("/metrics")
        names = {family.name for family in text_string_to_metric_families(text)}
        assert code == 200
        assert {"ecgw_door_requests", "ecgw_log_lines_dropped", "ecgw_build_info"} <= names
        code, text = await get("/nothing")
        assert code == 404
        assert "/readyz" in text
        async with session.post(base + "/livez") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET, HEAD"
    await door.stop()
    await door.stop()
