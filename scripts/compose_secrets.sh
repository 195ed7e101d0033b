#!/usr/bin/env bash
# Makes the secret files that the compose files name, where they are not there yet:
#   scripts/compose_secrets.sh [FOLDER]      secrets/ beside the compose files
# Then put the password that the payment service already sends into shop_password.
set -euo pipefail
folder="${1:-$(dirname "$0")/../secrets}"
# the folder keeps other users of this machine out; the files can be read, for the users inside of the containers have
# other numbers than you
(umask 077 && mkdir -p "$folder")
# the first three are for one gateway, then those for several, the last for compose.monitoring.yml; ledger_key has to
# be of 32 bytes
for name in shop_password wallet_rpc_password admin_token \
        postgres_password database_password cluster_secret ledger_key grafana_password; do
    [ -s "$folder/$name" ] && continue
    head -c 64 /dev/urandom | base64 | tr -d '/+=\n' | head -c 32 > "$folder/$name"
    chmod 0444 "$folder/$name"
    echo "made $folder/$name"
done
