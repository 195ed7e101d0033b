"""The errors that clients see, as one table: code, name, what is known of the execution, HTTP status.

Each error says whether the call was executed, whether asking again is safe, and what to do next;
an error never claims "not executed" of a call that any daemon may have run.
"""

from dataclasses import dataclass
from enum import StrEnum


class Executed(StrEnum):
    """What we know of a call that ended in an error of ours."""

    NO = "no"
    """Proved: nothing was written to a daemon, or it refused before work."""
    UNKNOWN = "unknown"
    """Bytes were sent and no complete answer came."""
    YES = "yes"
    """A daemon answered."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the error table."""

    code: int
    name: str
    executed: Executed
    status: int
    retry_after: bool = False
    """Whether a Retry-After header goes with the HTTP status."""


NO_BACKEND = Kind(-32001, "no_backend", Executed.NO, 503, retry_after=True)
OVERLOADED = Kind(-32002, "overloaded", Executed.NO, 503, retry_after=True)
DEADLINE_BEFORE_SEND = Kind(-32003, "deadline_before_send", Executed.NO, 504)
OUTCOME_UNKNOWN = Kind(-32004, "outcome_unknown", Executed.UNKNOWN, 504)
METHOD_REFUSED = Kind(-32005, "method_refused", Executed.NO, 403)
KEY_REUSED = Kind(-32006, "key_reused", Executed.NO, 422)
KEY_IN_PROGRESS = Kind(-32007, "key_in_progress", Executed.NO, 409)
READ_ONLY = Kind(-32008, "read_only", Executed.NO, 503, retry_after=True)
RESULT_WITHHELD = Kind(-32009, "result_withheld", Executed.YES, 503)
LIMIT_EXCEEDED = Kind(-32010, "limit_exceeded", Executed.NO, 403)
NOT_HOLDER = Kind(-32011, "not_holder", Executed.NO, 421)
"""Said by one gateway to another that sent it a call of a wallet that it does not hold; clients never see it."""

PARSE_ERROR = Kind(-32700, "parse_error", Executed.NO, 400)
INVALID_REQUEST = Kind(-32600, "invalid_request", Executed.NO, 400)
METHOD_NOT_FOUND = Kind(-32601, "method_not_found", Executed.NO, 404)
INVALID_PARAMS = Kind(-32602, "invalid_params", Executed.NO, 400)
INTERNAL = Kind(-32603, "internal_error", Executed.UNKNOWN, 500)

KINDS = (
    NO_BACKEND,
    OVERLOADED,
    DEADLINE_BEFORE_SEND,
    OUTCOME_UNKNOWN,
    METHOD_REFUSED,
    KEY_REUSED,
    KEY_IN_PROGRESS,
    READ_ONLY,
    RESULT_WITHHELD,
    LIMIT_EXCEEDED,
    NOT_HOLDER,
    PARSE_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    INVALID_PARAMS,
    INTERNAL,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of ours as it goes to one client.

    Args:
        kind: the row of the table.
        message: one sentence for a person, ending in what would be right.
        safe_to_repeat: whether the client may send the same call again without harm.
        wallet, backend: names, "" where none applies.
        request: the id that the last attempt had at the daemon, to find it in the gateway's log.
        next_step: what the client should do now, "" where the message says it.
        retry_after: seconds until asking again may help, for the Retry-After header.
    """

    kind: Kind
    message: str
    safe_to_repeat: bool
    wallet: str = ""
    backend: str = ""
    request: str = ""
    next_step: str = ""
    retry_after: float = 1.0

    def data(self) -> dict[str, object]:
        """The `data` member of the JSON-RPC error."""
        data: dict[str, object] = {
            "name": self.kind.name,
            "executed": self.kind.executed.value,
            "safe_to_repeat": self.safe_to_repeat,
        }
        places = {
            "wallet": self.wallet,
            "backend": self.backend,
            "request": self.request,
            "next_step": self.next_step,
        }
        return data | {key: value for key, value in places.items() if value}


class LedgerError(Exception):
    """The ledger could not do it; nothing of the transaction counts.  The text says why and what would help."""


class OrderError(Exception):
    """An operator's order was not carried out; the text says why and what would help, and holds no secret."""


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every mistake found in one run."""

    def __init__(self, problems: "list[Problem]") -> None:
        """Keep all problems and say them one per line."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file: where it is, and what would be right."""

    file: str
    line: int
    """Counted from 1; 0 when the place is not known (a missing file, the environment)."""
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """`file:line: key: message; remedy`, as editors and people read it."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.key}: " if self.key else ""
        return f"{place}: {subject}{self.message}; {self.remedy}"
