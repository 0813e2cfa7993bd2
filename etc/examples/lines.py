#!/usr/bin/python3
"""Events from a host without the agent's shared memory, over a socket.

Usage: lines.py tcp://HOST:PORT | unix://PATH | udp://HOST:PORT
"""
import sys

import hydrant

client = hydrant.StreamClient(sys.argv[1])
for number in range(10):
    client.write("remote", {"number": number})      # never waits; dropped when the queue is full
if not client.close(timeout=10):
    sys.exit("lines: not all of it was taken: %s" % client.stats())
