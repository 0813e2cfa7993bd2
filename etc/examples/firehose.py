#!/usr/bin/python3
"""A program that was written for MiniFirehose: only the imports are others.

Usage: firehose.py DIRECTORY          (which has to be in the agent's [http] file_roots)
"""
import sys

from hydrant.minifirehose import FirehoseConfig, LocalSink, MiniFirehose

config = FirehoseConfig(buffer_count_limit=1000, buffer_time_limit=60, buffer_size_limit_mb=5)
sink = LocalSink(directory=sys.argv[1], output_format="csv", partition_cols=["country"])
firehose = MiniFirehose(name="orders-csv", sinks=[sink], config=config)

firehose.start()
for number in range(20):
    firehose.add_message({"order": number, "country": "DE" if number % 2 else "FR"})
firehose.stop()         # returns when all of it is in files
