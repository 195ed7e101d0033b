"""A client of the chaos suite: the checker's, and batches.

Rule: each entry of a batch is written down as a call of its own, so that the judge sees no difference.
"""

import json
import time
from typing import Any

from tests.checker.calls import Caller, NobodyHomeError
from tests.checker.history import BROKEN, ERROR, REFUSED, RESULT, Op

BATCH = "batch"
"""The note of calls that came in a batch."""


class Client(Caller):
    """One client in one of its threads."""

    async def batch(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[Op]:
        """Make several calls in one request and write down how each ended."""
        begin = time.time()
        body = json.dumps(
            [
                {"jsonrpc": "2.0", "id": n, "method": method, "params": params}
                for n, (method, params) in enumerate(calls)
            ]
        ).encode()
        request = self.request(body)
        deadline = self.world.bounds.deadline
        answers: dict[Any, dict[str, Any]] = {}
        how, note = "", BATCH
        try:
            found = await self.exchange(request, deadline + self.world.silence)
            if not isinstance(found, list):
                # a door that refuses all of it says so once
                answers = dict.fromkeys(range(len(calls)), found) if isinstance(found, dict) else {}
            else:
                answers = {one.get("id"): one for one in found}
        except NobodyHomeError:
            how = REFUSED
        except TimeoutError:
            how, note = BROKEN, f"{BATCH}: silence"
        except (OSError, EOFError, ValueError) as error:
            how, note = BROKEN, f"{BATCH}: {error!r}"
        end = time.time()
        ops = [
            self._op(method, params, begin, end, how, answers.get(n), deadline, note)
            for n, (method, params) in enumerate(calls)
        ]
        for op in ops:
            self.diary.write(op)
        return ops

    def _op(
        self,
        method: str,
        params: tuple[Any, ...],
        begin: float,
        end: float,
        how: str,
        answer: dict[str, Any] | None,
        deadline: float,
        note: str,
    ) -> Op:
        if not how and answer is None:
            how, note = BROKEN, f"{BATCH}: no answer with this id"
        told = answer or {}
        how = how or (RESULT if told.get("error") is None else ERROR)
        return Op(
            self.client, self.task, method, list(params), begin, end, how, told.get("result"), told.get("error") or {},
            None, deadline, note,
        )  # fmt: skip
