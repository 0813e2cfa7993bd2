#!/bin/sh
# Events over HTTP with curl: one, many, and a stream with settings of its own.
#
# Usage: http.sh [ADDR:PORT]            (HYDRANT_HTTP, else 127.0.0.1:8000)
set -eu
agent=http://${1:-${HYDRANT_HTTP:-127.0.0.1:8000}}

# Each says what it got and fails on an error of the agent's.
ask()
{
    curl --silent --show-error --fail-with-body "$@"
    echo
}

ask -X PUT -H 'Content-Type: application/json' \
    -d '{"format": "csv", "buffer_time": "10s"}' "$agent/v1/streams/web"

ask -H 'Content-Type: application/json' -d '{"page": "/", "ms": 12}' "$agent/v1/streams/web/events"

# A line each; answered when a sync has returned.
printf '%s\n' '{"page": "/a", "ms": 3}' '{"page": "/b", "ms": 4}' |
    ask -H 'Content-Type: application/x-ndjson' --data-binary @- \
        "$agent/v1/streams/web/events?ack=durable"

# Sealed now, answered when it is delivered.
ask -X POST "$agent/v1/streams/web/flush"
