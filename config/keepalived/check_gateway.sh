#!/bin/sh
# Whether the gateway of this machine lives, or is ready: check_gateway.sh livez|readyz [URL OF THE OPERATORS' DOOR]
# Exit code 0: it does.  Runs as nobody, needs curl and no token.
exec curl --silent --fail --output /dev/null --max-time 1 --noproxy '*' "${2:-http://127.0.0.1:7780}/${1:?livez or readyz}"
