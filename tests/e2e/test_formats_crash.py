"""kill -9 while one stream goes out in three formats: each event once in every one of them.

A run prints its seed; HYDRANT_SEED repeats the moments, as far as moments can be repeated.
"""
import os
import unittest

from format_files import node_install, rows_by_folder
from harness import Agent, Producer, sized
from kills import KillCase


class Kills(KillCase):
    @classmethod
    def setUpClass(cls):
        node_install()

    def sinks(self):
        return ("sinks = declared, parts, packed\ninfer_bytes = 16KiB\n"
                "[sink declared]\ntype = file\ndirectory = %(d)s/declared\nformat = csv\n"
                "columns = p string, n i64, pad string\n"
                "[sink parts]\ntype = file\ndirectory = %(d)s/parts\nformat = parquet\n"
                "compression = zstd\npartition_by = p\npartitions_max = 3\n"
                "[sink packed]\ntype = file\ndirectory = %(d)s/packed\nformat = json\n"
                "compression = gzip\ncompression_level = 6\n" % {"d": self.dir})

    def events(self, sink):
        """(producer, number) of each, in batch order within each partition."""
        return [{"p": dict(row)["p"] if sink != "parts" else folder[2:], "n": int(dict(row)["n"])}
                for folder, rows in rows_by_folder(self.path(sink, "load")).items()
                for row in rows]

    def test_each_event_once_in_every_format_across_kills(self):
        agent = Agent(self, self.config(self.sinks())).start()
        producers = [Producer(self, "p%d" % i, pad=300) for i in range(4)]
        for p in producers:
            p.tell("load %d" % sized(1000, 2000, 3000))
        for _ in range(sized(3, 8, 100)):
            self.live_until_killed(agent, self.sinks())
            agent.spawn()
        agent.wait_ready()
        counts = self.end_of(producers)
        agent.flush()
        total = sum(counts.values())
        self.assertGreater(total, 0)
        self.check_books(agent.status())
        books = agent.stream("load")
        self.assertEqual([books[k] for k in ("accepted", "delivered", "dropped", "lost")],
                         [total, total, 0, 0], "seed %d" % self.seed)
        for sink in ("declared", "parts", "packed"):
            with self.subTest(sink=sink, seed=self.seed):
                self.check_once_in_order(self.events(sink), counts)
                self.assertFalse(os.path.exists(self.path(sink, "load", "errors")))
        agent.stop()


if __name__ == "__main__":
    unittest.main()
