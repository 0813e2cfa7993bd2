#!/bin/sh
# Lines by sockets, from a shell: STREAM, a space, the event. One that is a JSON object is one;
# other text becomes {"message": ...}.
#
# Usage: lines.sh HOST PORT [SOCKET]     (the agent's [intake] tcp, and unix)
set -eu

# nc -N closes its side at the end and waits until the agent has: then all of it is taken.
printf '%s\n' 'shell {"by":"tcp","n":1}' 'shell any text' | nc -N "$1" "$2"

# Compressed, as it is.
printf '%s\n' 'shell {"by":"gzip","n":2}' | gzip | nc -N "$1" "$2"

if [ $# -gt 2 ]; then
    printf '%s\n' 'shell {"by":"unix","n":3}' | nc -N -U "$3"
fi
