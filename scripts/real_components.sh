#!/usr/bin/env bash
# Says which real components the tests will find, and installs them where that is wanted.
#   ECGW_REQUIRE_REAL=1  a missing one is an error (CI)
#   ECGW_INSTALL_REAL=1  install what is missing first, by apt-get and by go install (CI; needs root)
set -euo pipefail

# command:package, or a file of it; the engine's tests start a private dockerd of their own, with a base image made by
# mmdebstrap; the font has Korean and Latin letters for the browser
components=(
    electrum:electrum
    openssl:openssl
    dockerd:docker.io
    docker:docker.io
    iptables:iptables
    ip:iproute2
    mmdebstrap:mmdebstrap
    initdb:postgresql
    prometheus:prometheus
    amtool:prometheus-alertmanager
    chromium:chromium
    /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc:fonts-noto-cjk
    faketime:faketime
)

# Debian has no package of it, and its program is called `server` where Go puts it
toxiproxy=github.com/Shopify/toxiproxy/v2
toxiproxy_version=2.12.0

build_toxiproxy() {
    command -v go >/dev/null || { echo "toxiproxy-server is built by Go, which is not installed" >&2; return 1; }
    local built
    built="$(mktemp -d)"
    GOBIN="$built" go install -ldflags "-X $toxiproxy.Version=$toxiproxy_version" \
        "$toxiproxy/cmd/server@v$toxiproxy_version" && install -m 755 "$built/server" /usr/local/bin/toxiproxy-server
    local code=$?
    rm -rf "$built"
    return "$code"
}

# its package leaves the programs of a server outside of PATH
for programs in /usr/lib/postgresql/*/bin; do
    PATH="$PATH:$programs"
done

look() {
    missing=()
    for component in "${components[@]}"; do
        what="${component%%:*}"
        case "$what" in
            /*) [ -e "$what" ] ;;
            *) command -v "$what" >/dev/null ;;
        esac || missing+=("${component##*:}")
    done
    # one package may bring two commands
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | awk 'NF && !seen[$0]++')
    built=()
    command -v toxiproxy-server >/dev/null || built+=(toxiproxy-server)
}

look
if [ "${#missing[@]}" -gt 0 ] && [ "${ECGW_INSTALL_REAL:-}" = 1 ]; then
    apt-get update -qq
    # RUNLEVEL: some of them bring a service, and none is to be started by being installed
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    look
fi
if [ "${#built[@]}" -gt 0 ] && [ "${ECGW_INSTALL_REAL:-}" = 1 ]; then
    build_toxiproxy || true
    look
fi

[ "${#missing[@]}" = 0 ] && [ "${#built[@]}" = 0 ] && exit 0
if [ "${ECGW_REQUIRE_REAL:-}" = 1 ]; then
    echo "REAL COMPONENTS ARE MISSING: ${missing[*]} ${built[*]}; ECGW_REQUIRE_REAL=1 wants them" >&2
    exit 1
fi
cat >&2 <<TEXT

  ****************************************************************************
  SKIPPED: tests against real components, because these are not installed: ${missing[*]} ${built[*]}
  The way out on Debian: ECGW_INSTALL_REAL=1 scripts/real_components.sh as root; it takes packages by apt-get, and
  builds toxiproxy-server by Go
  ****************************************************************************

TEXT
