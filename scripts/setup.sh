#!/usr/bin/env bash
# Makes the virtual environment: scripts/setup.sh runtime|dev PYTHON VENV
# Every package is pinned and checked against its hash; the project itself is installed in place.
set -euo pipefail
cd "$(dirname "$0")/.."
kind="$1" python="$2" venv="$3"

fail() { printf '\n%s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "There is no $python here. On Debian: apt-get install -y python3 python3-venv, or: make PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$python is $("$python" -V 2>&1); 3.11 or newer is needed. Name another: make PYTHON=/path/to/python3.11"

if [ ! -x "$venv/bin/python" ]; then
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        rm -rf "$venv"
        # Debian keeps ensurepip in a package of its own
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
            "$python" -m venv "$venv"
        else
            fail "$python cannot make virtual environments. On Debian: apt-get install -y python3-venv"
        fi
    fi
fi
echo "setting up $venv ($kind) ..."
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/python" -m pip install --quiet --require-hashes -r "requirements/$kind.txt"
# built by the setuptools just installed and checked; an isolated build would fetch another one unchecked
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
touch "$venv/bin/.runtime"
if [ "$kind" = dev ]; then touch "$venv/bin/.dev"; fi
