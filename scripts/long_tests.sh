#!/usr/bin/env bash
# The tests with processes, and beside them those that compute for long: histories in virtual time above all.
#
# The former wait most of their time, the latter only compute, and do so when nobody else wants the processor
# (SCHED_IDLE): what is frozen, killed and measured by the former is not disturbed.
#   usage: long_tests.sh PYTHON WORKERS
set -uo pipefail
python=$1 workers=$2

log=$(mktemp)
idle=(nice -n 19)
chrt --idle 0 true 2>/dev/null && idle=(chrt --idle 0)
# a group of its own, so that an end of this script is the end of all of it; its tests may take long, being last in turn
setsid "${idle[@]}" "$python" -m pytest tests -m "simulation or long" --ignore tests/rules --ignore tests/base \
    -n "$workers" -o timeout=600 >"$log" 2>&1 &
histories=$!
trap 'kill -TERM -- "-$histories" 2>/dev/null; rm -f "$log"' EXIT
trap 'exit 130' INT TERM

"$python" -m pytest tests -m "integration" -n "$workers" --dist loadfile
processes_code=$?
wait "$histories"
histories_code=$?
trap 'rm -f "$log"' EXIT
cat "$log"
[ "$processes_code" = 0 ] && [ "$histories_code" = 0 ]
