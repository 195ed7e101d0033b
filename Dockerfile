# The gateway, its socket guard and the sandbox wallets, in one image.
#
#   docker build -t ec-gateway .
#   behind a mirror of your own:  --build-arg PIP_INDEX_URL=...   (it stays in the first stage)
#   with its busiest rooms compiled, twice as fast:  --build-arg ECGW_COMPILED=1   (docs/performance.md)
#
# It runs as user 10001 without any capability, from a read-only root; /var/lib/ec-gateway is where the ledger goes.

FROM python:3.12-slim AS build
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# an environment without pip in it: what it will run with, and nothing that could install more
RUN python -m venv --without-pip /opt/ec-gateway
COPY requirements/runtime.txt requirements/
# pinned and checked by hash; wheels only, so that nothing fetched is run while it is installed
RUN pip --python /opt/ec-gateway/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY gateway gateway
RUN pip --python /opt/ec-gateway/bin/python install --no-deps --no-build-isolation .
ARG ECGW_COMPILED=0
COPY requirements/compile.txt requirements/
COPY scripts/compile.py scripts/
# the compiled package takes the place of the other; its compiler and its tools stay in this stage, in a copy
RUN if [ "$ECGW_COMPILED" = 1 ]; then \
        apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && cp --archive /opt/ec-gateway tools \
        && pip --python tools/bin/python install --require-hashes --only-binary :all: -r requirements/compile.txt \
        && tools/bin/python scripts/compile.py compiled \
        && cp --archive compiled/. "$(/opt/ec-gateway/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
    fi
# built by the setuptools that was checked above, which then goes
RUN pip --python /opt/ec-gateway/bin/python uninstall --yes setuptools

FROM python:3.12-slim
# Of pip and its like nothing stays.  The two folders exist so that a fresh volume on them begins with their owners:
# the ledger's belongs to the gateway, the guard's to root, who alone makes a socket there.
RUN python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel 2>/dev/null \
    && rm -rf /usr/local/lib/python3.*/ensurepip "$HOME/.cache" \
    && groupadd --gid 10001 ecgw \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ecgw \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/ec-gateway \
    && install --directory --mode=0755 /etc/ec-gateway /run/ecgw
COPY --from=build /opt/ec-gateway /opt/ec-gateway
ENV PATH=/opt/ec-gateway/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
# clients, operators
EXPOSE 7777 7780
# No VOLUME: an anonymous volume would take the ledger, look as if it lasted, and go with the container.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["ec-gateway", "status", "--ready"]
ENTRYPOINT ["ec-gateway"]
CMD ["run", "-c", "/etc/ec-gateway/gateway.yaml"]
