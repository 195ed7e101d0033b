"""The settings of the care of backends: who can start them, when they are restarted, who is told.

A launcher and a sink know their own keys; here is what all of them share, and the rest is kept as it was written
until `ec-gateway check` or the start hands it to them.  Times are seconds.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, SecretStr

from gateway.base.section import Count, Name, Seconds, Section, Share


class Launcher(Section):
    """Who starts and stops one daemon: `kind` names the launcher, and the other keys are its own."""

    model_config = ConfigDict(extra="allow")

    kind: Name
    """docker, process, supervisor, command, or one that a package brings by the entry point `ec_gateway.launchers`."""
    password: SecretStr = SecretStr("")
    """Of the launcher's own interface, where it has one."""
    timeout: Seconds = 10.0
    """For one order to it."""

    @property
    def own(self) -> dict[str, Any]:
        """The keys that only this kind of launcher knows, as they were written."""
        return dict(self.model_extra or {})


class Restart(Section):
    """When a sick daemon is restarted, and how long each step of it may take."""

    enforce: bool = True
    """False tells what would be done, and does nothing."""
    backoff: Seconds = 10.0
    """Pause before the second restart in a row; the first comes at once, each further pause is twice as long."""
    backoff_max: Seconds = 300.0
    healthy_after: Seconds = 600.0
    """Healthy for so long, and the next restart counts as the first again."""
    max_per_hour: Count = 6
    """More than these and the backend is FAILED."""
    failed_retry: Seconds = 1800.0
    """Pause between two tries of a FAILED backend."""
    adrift_after: Seconds = 60.0
    """How long one backend alone must be adrift, after a reload of its wallet did not help."""
    drain_timeout: Seconds = 10.0
    """For the calls under way in a daemon that still answers."""
    stop_timeout: Seconds = 15.0
    """Until a daemon that was told to stop is gone; then it is killed."""
    start_timeout: Seconds = 30.0
    """Until the RPC of a fresh daemon answers."""
    load_timeout: Seconds = 60.0
    """Until its wallet is loaded."""
    sync_timeout: Seconds = 600.0
    """Until it stands at the height of the chain."""
    align_timeout: Seconds = 120.0
    """Until it lists every address that was given out."""


class Preventive(Section):
    """Restarts of healthy daemons; all off by default."""

    cron: str | None = None
    """Five fields of cron, in `time_zone`: one backend after the other begins then."""
    time_zone: Annotated[str, Field(min_length=1)] = "UTC"
    """A name of the IANA database."""
    max_age: Annotated[float | None, Field(gt=0)] = None
    """Seconds since its process began."""
    memory_share: Annotated[float | None, Field(gt=0, le=1)] = None
    """Of the container's limit, or of the machine's memory where there is none."""


class Sink(Section):
    """One receiver of alerts: `kind` names the sort, and the other keys are its own."""

    model_config = ConfigDict(extra="allow")

    name: Name
    kind: Name
    """webhook, apprise, or one that a package brings by the entry point `ec_gateway.sinks`."""
    secret: SecretStr = SecretStr("")
    """Signs a webhook; for apprise its URL, which holds tokens."""
    timeout: Seconds = 10.0

    @property
    def own(self) -> dict[str, Any]:
        """The keys that only this kind of sink knows, as they were written."""
        return dict(self.model_extra or {})


class Alerts(Section):
    """What is told to people, and how often."""

    sinks: tuple[Sink, ...] = ()
    repeat: Seconds = 300.0
    """Until an open alert is told again; each further pause is twice as long."""
    repeat_max: Seconds = 14_400.0
    settle: Seconds = 30.0
    """Of quiet until an alert closes; what is back sooner is the same alert."""
    memory_share: Share = 0.8
    """Of the container's limit or the machine's memory."""
    stuck_after: Seconds = 10.0
    """No connection accepted, or one call waiting, for so long."""
    failures: Count = 3
    """Failed calls in a row at one backend."""
    pool_low: Share = 0.34
    """Share of the address pool that is left."""
