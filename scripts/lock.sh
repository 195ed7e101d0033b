#!/usr/bin/env bash
# Writes requirements/*.txt anew from requirements/*.in: every version pinned, every file hashed,
# no index address in either. Needs pip-tools beside pip: `pip install pip-tools`.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
for name in runtime dev compile; do
    pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host \
        --no-emit-find-links --strip-extras --allow-unsafe --no-header \
        --output-file="$name.txt" "$name.in"
done
