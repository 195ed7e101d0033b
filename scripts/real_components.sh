#!/usr/bin/env bash
# Says which real components the tests will find, and installs them where that is wanted.
#   ECGW_REQUIRE_REAL=1  a missing one is an error (CI)
#   ECGW_INSTALL_REAL=1  install what is missing by apt-get first (CI; needs root)
set -euo pipefail

components=(electrum openssl)
missing=()
for name in "${components[@]}"; do
    command -v "$name" >/dev/null || missing+=("$name")
done

if [ "${#missing[@]}" -gt 0 ] && [ "${ECGW_INSTALL_REAL:-}" = 1 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    missing=()
    for name in "${components[@]}"; do
        command -v "$name" >/dev/null || missing+=("$name")
    done
fi

[ "${#missing[@]}" = 0 ] && exit 0
if [ "${ECGW_REQUIRE_REAL:-}" = 1 ]; then
    echo "REAL COMPONENTS ARE MISSING: ${missing[*]}; ECGW_REQUIRE_REAL=1 wants them" >&2
    exit 1
fi
cat >&2 <<TEXT

  ****************************************************************************
  SKIPPED: tests against real daemons, because these are not installed: ${missing[*]}
  The way out on Debian: apt-get install -y --no-install-recommends ${missing[*]}
  ****************************************************************************

TEXT
