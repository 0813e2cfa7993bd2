#!/usr/bin/python3
"""Events and typed records from Python, by ring.

    pip install libshm-client/python
    ./events.py
"""
import dataclasses
import datetime
import sys
import threading
import typing

import hydrant


@dataclasses.dataclass
class Visit:
    at: datetime.datetime
    page: str
    seconds: float
    referrer: typing.Optional[str] = None


def main():
    with hydrant.Client(full="wait") as client:
        clicks = client.stream("clicks")
        clicks.write({"user": "ada", "page": "/"})          # a dict: JSON
        clicks.write("a line of text")                      # a str: text
        clicks.write(b"\x00\x01")                           # bytes

        visits = client.stream("visits").record_type(Visit)
        visits.write(Visit(datetime.datetime.now(datetime.timezone.utc), "/", 1.5))
        visits.write({"at": datetime.datetime.now(), "page": "/about", "seconds": 2})

        # Each thread has a ring of its own, without any doing.
        threads = [threading.Thread(target=clicks.write, args=({"thread": n},)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        client.flush("durable", timeout=5)
        print(client.stats())


if __name__ == "__main__":
    try:
        main()
    except hydrant.Error as error:
        sys.exit("events: %s" % error)
