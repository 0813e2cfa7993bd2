#!/usr/bin/python3
"""Python's logging by ring: a record is a JSON object, and no call waits for a disk."""
import logging

import hydrant.logging

logging.basicConfig(level=logging.INFO, handlers=[hydrant.logging.RingHandler("app-log")])

logging.info("ready", extra={"port": 8080})
try:
    {}["missing"]
except KeyError:
    logging.exception("it failed")
