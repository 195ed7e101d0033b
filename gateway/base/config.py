"""The settings as pydantic models: names, units, defaults and limits of every key.

`base/loader.py` reads files into them; nothing here opens a file.  Times are seconds, sizes are bytes.
Models are frozen: a reload builds new ones and swaps them whole.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.base.care import Alerts, Launcher, Preventive, Restart
from gateway.base.clashes import clashes
from gateway.base.cluster import Cluster, Ledger
from gateway.base.effects import GRANTABLE, OPEN_BY_DEFAULT, Effect
from gateway.base.people import MOST_USERS, NamedToken, User
from gateway.base.section import Bytes, Coins, Count, Name, Port, Seconds, Section, Share


class Tls(Section):
    """Certificate and key of a door."""

    certificate: str
    key: str


class Listen(Section):
    """The door for clients."""

    host: str = "127.0.0.1"
    port: Port = 7777
    tls: Tls | None = None
    max_connections: Count = 4096
    max_body: Bytes = 4 * 1024 * 1024
    max_depth: Annotated[int, Field(ge=2, le=500)] = 64
    max_batch: Count = 100
    head_timeout: Seconds = 10
    body_timeout: Seconds = 15
    keepalive_timeout: Seconds = 75


class Admin(Section):
    """The door for operators: /livez, /readyz, /metrics, status and orders."""

    host: str = "127.0.0.1"
    port: Port = 7780
    tls: Tls | None = None
    names: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """What the door is called besides `host`: the names of its certificate, or of a proxy before it."""
    users: Annotated[tuple[User, ...], Field(max_length=MOST_USERS)] = ()
    """Who signs in; with anybody here, or in tokens, nobody else sees how the wallets stand."""
    tokens: Annotated[tuple[NamedToken, ...], Field(max_length=MOST_USERS)] = ()
    """What `Authorization: Bearer` may hold, each with a name and a role."""
    token: SecretStr = SecretStr("")
    """One such token of an operator who has no name of his own."""
    open: bool = False
    """Whether whoever reaches the door may order; for loopback and trials."""
    session_idle: Seconds = 3600
    """Seconds without a request after which somebody has to sign in anew."""
    session_life: Seconds = 43_200
    """Seconds after which somebody has to sign in anew in any case."""

    @property
    def is_closed(self) -> bool:
        """Whether it is asked who somebody is before anything but /livez, /readyz and /metrics is shown."""
        return bool(self.users or self.tokens) and not self.open


class RateLimit(Section):
    """A token bucket: calls per second, and how many may come at once."""

    per_second: Annotated[float, Field(gt=0)]
    burst: Count = 20


class Client(Section):
    """Who may call, and what that opens."""

    name: Name
    username: Annotated[str, Field(min_length=1)]
    password: SecretStr
    wallets: Annotated[tuple[Name, ...], Field(min_length=1)] = ("main",)
    effects: frozenset[Effect] = OPEN_BY_DEFAULT
    methods: frozenset[str] = frozenset()
    """Methods opened by name beyond the effects, such as getmpk."""
    rate_limit: RateLimit | None = None
    deadline: Seconds = 9.0
    errors: Literal["jsonrpc", "http"] = "jsonrpc"
    max_per_call: Coins | None = None
    """BCH that one signed transaction may take out of the wallet, fee included; no bound when absent."""
    max_per_day: Coins | None = None
    """The same for all of a day (UTC)."""

    @field_validator("username")
    @classmethod
    def _username_has_no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("a user name of Basic authentication cannot hold a colon; take it out")
        return value

    @field_validator("effects")
    @classmethod
    def _effects_can_be_granted(cls, value: frozenset[Effect]) -> frozenset[Effect]:
        refused = sorted(value - GRANTABLE)
        if refused:
            raise ValueError(f"{', '.join(refused)} cannot be given to a client; take it out of the list")
        return value


class BackendTls(Section):
    """How an https backend proves itself."""

    verify: bool = True
    ca_file: str | None = None


class Backend(Section):
    """One wallet daemon."""

    name: Name
    url: str
    username: str = ""
    password: SecretStr = SecretStr("")
    slots: Annotated[int | None, Field(ge=1, le=256)] = None
    """Calls at once; only a profile that is not serial allows more than one."""
    tls: BackendTls = BackendTls()
    wallet_file: str | None = None
    """The daemon's wallet file, where it lies on this machine: lets `ec-gateway reinit` copy it."""
    wallet_password: SecretStr = SecretStr("")
    """What an encrypted wallet is loaded with after a restart; never told to anybody else."""
    launcher: Launcher | None = None
    """Who can start and stop it; without one it is ejected and alerted, never restarted."""

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, value: str) -> str:
        example = "write it like http://127.0.0.1:17771"
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"not a URL ({error}); {example}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an http or https URL with a host; {example}")
        if port == 0 or re.search(r"[\s\x00-\x1f\x7f]", value):
            raise ValueError(f"not a usable URL; {example}")
        if parts.username or parts.password:
            raise ValueError("credentials do not belong into the URL; use username and password_file")
        if parts.query or parts.fragment:
            raise ValueError(f"a query or fragment means nothing here; {example}")
        return value


class Wallet(Section):
    """Backends that hold the same seed."""

    profile: Annotated[str, Field(min_length=1)] = "electron-cash"
    """A name of one that comes with the gateway, or the path of a .yaml file."""
    primary: Name | None = None
    """The backend that allocates and signs; the first one listed when absent."""
    start_grace: Seconds = 60
    """How long a backend that was never ready may take before it counts as dead."""
    expect_return: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """How long a backend that was ready and vanished is expected to come back by other means."""
    mirror: bool = True
    """Whether standbys are kept aligned by createnewaddress."""
    address_pool: Annotated[int, Field(ge=1, le=500)] = 30
    """Addresses derived and mirrored ahead of need; they can be handed out while every daemon is down."""
    preventive: Preventive = Preventive()
    backends: Annotated[tuple[Backend, ...], Field(min_length=1, max_length=1000)]

    @property
    def primary_name(self) -> str:
        """The configured primary, or the first backend."""
        return self.primary or self.backends[0].name


class Timeouts(Section):
    """How long each step towards a daemon may take."""

    connect: Seconds = 1.0
    write: Seconds = 2.0
    fast: Seconds = 1.0
    heavy: Seconds = 5.0
    sign: Seconds = 8.0
    server: Seconds = 35.0


class Upstream(Section):
    """Caps for what a daemon may send."""

    max_head: Bytes = 64 * 1024
    max_body: Bytes = 64 * 1024 * 1024
    resolve_ttl: Seconds = 30.0


class Queue(Section):
    """Waiting calls, per wallet."""

    max_waiting: Count = 1000


class Retry(Section):
    """The budget that retries and hedges share."""

    ratio: Share = 0.1
    """Tokens earned by each call."""
    floor: Annotated[float, Field(ge=0)] = 0.1
    """Tokens earned each second, so that a wallet with six calls a minute may still repeat one."""
    burst: Annotated[float, Field(ge=1)] = 10.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3


class Hedge(Section):
    """When a read that takes unusually long is asked of a second backend."""

    enabled: bool = True
    floor: Annotated[float, Field(ge=0.001, le=60)] = 0.02
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    factor: Annotated[float, Field(ge=1, le=100)] = 2.0


class Breaker(Section):
    """The circuit of each backend."""

    failures: Count = 3
    """Faults in a row that open it."""
    open_for: Seconds = 1.0
    """The first time it stays open; doubled while trials fail."""
    open_for_max: Seconds = 30.0
    trials: Count = 1
    """Calls at once while it is half-open."""


class Health(Section):
    """The semantic probe and what is made of it."""

    probe_interval: Seconds = 1.0
    probe_timeout: Seconds = 0.5
    wedged_after: Seconds = 2.0
    """How long an ejected backend may stay silent before it counts as wedged."""
    lag_blocks: Annotated[int, Field(ge=0, le=1000)] = 1
    lag_grace: Seconds = 15.0
    """How long a backend may be further behind the others than lag_blocks."""
    slow_start: Annotated[float, Field(ge=0, le=3600)] = 10.0
    ewma: Seconds = 10.0
    """Time constant of the latency average."""


class LogFile(Section):
    """A rotating file, where nobody collects standard output."""

    path: Annotated[str, Field(min_length=1)]
    max_bytes: Bytes = 50 * 1024 * 1024
    keep: Count = 5
    max_age: Annotated[float, Field(gt=0)] = 14 * 86_400.0


class Log(Section):
    """What is told, and in which shape."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
    file: LogFile | None = None


class Settings(Section):
    """Everything."""

    listen: Listen = Listen()
    admin: Admin = Admin()
    clients: tuple[Client, ...] = ()
    anonymous: bool = False
    """Whether callers without credentials are let in as a client with default rights; for loopback and tests."""
    wallets: Annotated[dict[Name, Wallet], Field(min_length=1)]
    ledger: Ledger | None = None
    """Without one nothing outlasts the gateway: keys are refused, and addresses are only as safe as its memory."""
    cluster: Cluster | None = None
    """Without one the gateway is alone."""
    timeouts: Timeouts = Timeouts()
    upstream: Upstream = Upstream()
    queue: Queue = Queue()
    retry: Retry = Retry()
    hedge: Hedge = Hedge()
    breaker: Breaker = Breaker()
    health: Health = Health()
    restart: Restart = Restart()
    alerts: Alerts = Alerts()
    log: Log = Log()
    drain_timeout: Seconds = 30.0
    sandbox: bool = False
    """Set by `ec-gateway sandbox`: the coins are not real, and log and answers say so."""

    @model_validator(mode="after")
    def _nothing_clashes(self) -> Self:
        """Refuse what fits alone and not together; the loader tells these with their lines before."""
        for clash in clashes(self.model_dump()):
            raise ValueError(f"{clash.message}; {clash.remedy}")
        return self
