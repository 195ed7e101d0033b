"""The database that several gateways share, and a witness in it: who had the wallet, from when until when.

Rule: the witness is a trigger of the checker's own, in a schema of its own, which writes down each change of a lease in
the very transaction that makes it, by the database's clock; the gateways know nothing of it.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr

from gateway.base.cluster import Ledger
from gateway.ledger.opening_postgres import open_database
from tests.checker.history import Holding
from tests.integration.postgres_server import OWNER, PASSWORD, Server, binaries

NAME = "ledger"

PATIENCE, AGAIN = 15.0, 0.2
"""Seconds in which it can be started again, and between two tries."""

WITNESS = """
CREATE SCHEMA checker;
CREATE TABLE checker.seen (
    number serial, wallet text, holder text, instance text, term bigint, since float8, until float8, at float8);
CREATE FUNCTION checker.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checker.seen (wallet, holder, instance, term, since, until, at)
    VALUES (NEW.wallet, NEW.holder, NEW.instance, NEW.term, NEW.since, NEW.until,
        extract(epoch FROM clock_timestamp()));
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION checker.see();
"""

SEEN = "SELECT json_agg(row_to_json(seen) ORDER BY number) FROM checker.seen"


class Shared(Server):
    """A server that listens for other hosts too, and what may befall it."""

    def __init__(self, folder: Path) -> None:
        """Take a free port."""
        super().__init__(folder)
        self.is_lost = False
        """Whether something was done to it that is not undone yet."""
        self._turn = threading.Lock()

    def prepare(self, network: str | None) -> None:
        """Make its files and start it, with an empty database in it.

        Args:
            network: addresses that may come, such as 10.77.0.0/24; None for this machine alone.
        """
        self.make()
        if network is not None:
            self.configure(listen_addresses="'*'")
            with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write(f"host all all {network} scram-sha-256\n")
        self.configure(max_connections="60")
        self.start()
        self.sql(f"CREATE DATABASE {NAME} TEMPLATE template0")

    def url(self, host: str) -> str:
        """Return how a gateway names it."""
        return f"postgresql://{OWNER}@{host}:{self.port}/{NAME}"

    def watch(self, key_file: Path) -> None:
        """Make the tables, as the first gateway would, and let the witness look on before anybody comes."""
        opened = open_database(
            Ledger(url=self.url("127.0.0.1"), password=SecretStr(PASSWORD), key_file=str(key_file)), time.time()
        )
        opened.ledger.close()
        self.sql(WITNESS, NAME)

    def holder(self) -> str:
        """Return who has the wallet now; "" for nobody, or nobody can tell."""
        if self.is_lost:
            return ""
        try:
            return self.sql("SELECT holder FROM leases WHERE until > extract(epoch FROM clock_timestamp())", NAME)
        except (AssertionError, subprocess.SubprocessError):
            return ""

    def holdings(self) -> list[Holding]:
        """Return who had the wallet from when until when, in that order; comes when all is over."""
        return holdings(json.loads(self.sql(SEEN, NAME) or "[]"))

    def dump(self, file: Path) -> None:
        """Write down what is in the ledger, if the server says so at all."""
        words = ["--data-only", "-h", "127.0.0.1", "-p", str(self.port), "-U", OWNER, "-d", NAME, "-f", str(file)]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        with contextlib.suppress(subprocess.SubprocessError):
            command = [str(self.binaries / "pg_dump"), *words]
            subprocess.run(command, env=environment, check=False, capture_output=True, timeout=PATIENCE)

    def freeze(self) -> None:
        """Let it stand still, all of it."""
        with self._turn:
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        with self._turn:
            self._signal(signal.SIGCONT)

    def again(self) -> None:
        """Start it after its end; a child that was just being made when all were killed may be a moment in the way."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.start()
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(AGAIN)
            else:
                return

    def _signal(self, number: signal.Signals) -> None:
        # the first one first, so that it makes no more
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def shared(network: str | None) -> Iterator[Shared]:
    """Give a server that runs; ended and removed at the end.  Raises RuntimeError where there is none to be had."""
    if not (binaries() / "initdb").exists():
        raise RuntimeError("PostgreSQL is not installed; scripts/real_components.sh installs it")
    folder = Path(tempfile.mkdtemp(prefix="checker-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server = Shared(folder)
    try:
        server.prepare(network)
        yield server
    finally:
        server.thaw()
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def holdings(seen: list[dict[str, object]]) -> list[Holding]:
    """Return the holdings that rows of the witness tell of, a row for each change of the lease."""
    found: list[Holding] = []
    for row in seen:
        holder, term = str(row["holder"]), int(str(row["term"]))
        since, until, at = (float(str(row[name])) for name in ("since", "until", "at"))
        # given up: it ends at that moment
        end = at if until == 0.0 else until
        if found and found[-1].term == term:
            found[-1] = Holding(holder, term, found[-1].begin, end)
        else:
            found.append(Holding(holder, term, since, end))
    return found


def written(found: list[Holding]) -> str:
    """Return holdings as a file keeps them."""
    return json.dumps([asdict(one) for one in found])
