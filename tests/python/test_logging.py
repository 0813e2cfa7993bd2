"""hydrant.logging: records as JSON by ring, and never an error in the program."""
import logging
import os
import threading
import unittest

from python_case import DEADLINE_S, PythonCase, in_child

import hydrant.logging


class Handler(PythonCase):
    def logger(self, **options):
        handler = hydrant.logging.RingHandler("log", shm_dir=self.shm, **options)
        logger = logging.Logger("app")
        logger.addHandler(handler)
        self.addCleanup(handler.close)
        return logger, handler

    def test_a_record_has_what_was_logged(self):
        self.start()
        logger, handler = self.logger()
        logger.info("hello %s", "w\u00f6rld", extra={"user": "ann", "odd": {1, 2} and object})
        try:
            raise ValueError("wrong")
        except ValueError:
            logger.exception("it failed")
        handler.close()
        self.agent.flush("log")
        first, second = self.agent.events("log")
        self.assertEqual([first[key] for key in ("level", "logger", "message", "user", "pid",
                                                 "thread")],
                         ["INFO", "app", "hello w\u00f6rld", "ann", os.getpid(), "MainThread"])
        self.assertRegex(first["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
        self.assertTrue(first["file"].endswith("test_logging.py"))
        self.assertEqual(first["function"], self._testMethodName)
        self.assertIn("object", first["odd"])
        self.assertIn("ValueError: wrong", second["exception"])
        self.finish()

    def test_across_threads_and_fork(self):
        self.start()
        logger, handler = self.logger()
        logger.info("before", extra={"p": "parent", "n": 0})

        def log(name):
            for n in range(100):
                logger.info("m", extra={"p": name, "n": n})

        threads = [threading.Thread(target=log, args=("t%d" % n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        self.assertEqual(in_child(lambda: (log("child"), handler.close())), 0)
        for thread in threads:
            thread.join(DEADLINE_S)
        logger.info("after", extra={"p": "parent", "n": 1})
        handler.close()
        self.agent.flush("log")
        self.check_once_in_order(self.agent.events("log"),
                                 {"parent": 2, "child": 100, **{"t%d" % n: 100 for n in range(4)}})
        self.finish()

    def test_nothing_is_raised_in_the_program(self):
        logger, handler = self.logger(ring_bytes=65536)
        for n in range(1000):
            logger.info("no agent takes them %d", n)
        self.assertEqual(handler.stats()["events"] + handler.stats()["dropped"], 1000)
        self.assertGreater(handler.stats()["dropped"], 0)
        seen = []
        handler.handleError = seen.append
        logger.info("%d", "no number")
        logger.info("x" * 100000)
        handler.close()
        logger.info("closed")
        self.assertEqual(len(seen), 3)

    def test_a_client_of_the_programs_stays_open(self):
        client = self.client()
        _, handler = self.logger(client=client)
        handler.close()
        client.stream("other").write("still")

    def test_it_can_be_configured_by_a_dict(self):
        out = self.python("""if True:
            import logging.config
            logging.config.dictConfig({"version": 1, "handlers": {"ring": {
                "class": "hydrant.logging.RingHandler", "stream": "app", "level": "INFO",
                "ring_bytes": 65536}}, "root": {"handlers": ["ring"], "level": "DEBUG"}})
            logging.info("one")
            logging.debug("two")
            print(logging.getLogger().handlers[0].stats()["events"])
            """)
        self.assertEqual(out, "1\n")


if __name__ == "__main__":
    unittest.main()
