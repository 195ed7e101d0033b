#!/usr/bin/env bash
# Makes the secret files that docker-compose.yml names, where they are not there yet:
#   scripts/compose_secrets.sh [FOLDER]      secrets/ beside docker-compose.yml
# Then put the password that the payment service already sends into shop_password.
set -euo pipefail
folder="${1:-$(dirname "$0")/../secrets}"
# the folder keeps other users of this machine out; the files can be read, for the users inside of the containers have
# other numbers than you
(umask 077 && mkdir -p "$folder")
for name in shop_password wallet_rpc_password admin_token; do
    [ -s "$folder/$name" ] && continue
    head -c 32 /dev/urandom | base64 | tr -d '/+=\n' > "$folder/$name"
    chmod 0444 "$folder/$name"
    echo "made $folder/$name"
done
