"""What stands in for the images `postgres` and `haproxy` where no image registry is reached: Debian's own packages.

The rule: they keep the contract that docker-compose.ha.yml relies on, with entrypoints of our own: the same users,
folders, variables and signals.  Both begin with one root folder, built once for each release and kept beside other
caches.
"""

import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.docker_wallet import tar

if TYPE_CHECKING:
    # only then: pytest wants to be the first to import a plugin
    from tests.integration.docker_engine import Engine

BASE = "ecgw-servers:test"

POSTGRES, HAPROXY = "ecgw-postgres:test", "ecgw-haproxy:test"

PACKAGES = ("postgresql", "haproxy")

NO_CLUSTER = (
    "--essential-hook=mkdir -p \"$1/etc/postgresql-common\" && echo 'create_main_cluster = false' "
    '> "$1/etc/postgresql-common/createcluster.conf"'
)
"""A server is set up by the entrypoint, not by the package."""


LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/lib/*/libLLVM*")
"""The last one is a hundred megabytes for queries that take seconds; `jit` is off instead."""

POSTGRES_DOCKERFILE = f"""FROM {BASE}
COPY docker-entrypoint.sh /usr/local/bin/
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data \\
    && install -d -o postgres -g postgres -m 3777 /var/run/postgresql \\
    && mkdir /docker-entrypoint-initdb.d && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
"""

POSTGRES_ENTRYPOINT = """#!/bin/bash
set -eu
[ "$1" = postgres ] || exec "$@"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    initdb --username="${POSTGRES_USER:=postgres}" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS >/dev/null
    printf '%s\\n' "listen_addresses = '*'" 'jit = off' >> "$PGDATA/postgresql.conf"
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    export POSTGRES_USER
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
"""

HAPROXY_DOCKERFILE = f"""FROM {BASE}
STOPSIGNAL SIGUSR1
USER haproxy
WORKDIR /var/lib/haproxy
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""


def build(engine: "Engine") -> tuple[str, str]:
    """Make both images and return their names: of PostgreSQL and of HAProxy."""
    engine.run("import", str(_tarball()), BASE)
    entrypoint = {"Dockerfile": POSTGRES_DOCKERFILE.encode(), "docker-entrypoint.sh": POSTGRES_ENTRYPOINT.encode()}
    engine.run("build", "--quiet", "--tag", POSTGRES, "-", given=tar(entrypoint, mode=0o755))
    engine.run("build", "--quiet", "--tag", HAPROXY, "-", given=tar({"Dockerfile": HAPROXY_DOCKERFILE.encode()}))
    return POSTGRES, HAPROXY


def _tarball() -> Path:
    """Return the tar file of the root folder, built now where it is not in the cache: a minute."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ec-gateway-tests"
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    state = repr((release, platform.machine(), PACKAGES, NO_CLUSTER, LEFT_OUT)).encode()
    wanted = cache / f"servers-{hashlib.sha256(state).hexdigest()[:16]}.tar"
    if not wanted.exists():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("servers-*.tar"):
            old.unlink()
        fresh = cache / "fresh-servers.tar"
        command = [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", NO_CLUSTER),
            *('--aptopt=Acquire::Languages "none"', *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT)),
            *(release, str(fresh)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"mmdebstrap failed, code {done.returncode}: {done.stderr[-2000:]}")
        fresh.replace(wanted)
    return wanted
