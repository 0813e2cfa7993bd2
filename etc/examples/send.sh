#!/bin/sh
# Lines by ring, from a shell: the fastest way for what other programs print.
#
# Usage: send.sh        (HYDRANT names the program, if it is not in PATH)
set -eu
hydrant=${HYDRANT:-hydrant}

seq 1 1000 | sed 's/.*/{"n":&}/' | "$hydrant" send numbers --durable
