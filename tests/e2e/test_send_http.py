"""`hydrant send --http`: batches, back-off, durability, and what is known of a lost answer."""
import gzip
import http.server
import json
import re
import signal
import threading
import time

from harness import DEADLINE_S, SHORT, Agent, Case, until

LINES = 2_000 if SHORT else 20_000


class Script:
    """A server that answers as told, in turn, the last answer again and again."""

    def __init__(self, case, *answers):
        self.answers, self.requests = list(answers), []
        script = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                script.requests.append((self.path, dict(self.headers), body))
                answers = script.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if answer is None:          # hangs up
                    self.close_connection = True
                    return
                if callable(answer):
                    answer = answer(body)
                text = json.dumps({"detail": "as told"}).encode()
                self.send_response(answer)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        case.addCleanup(self.server.server_close)
        case.addCleanup(thread.join)
        case.addCleanup(self.server.shutdown)

    def place(self):
        return "127.0.0.1:%d" % self.server.server_port

    def bodies(self):
        return [body for _, _, body in self.requests]


class ByHttp(Case):
    def by_http(self, place, data, *arguments, code=0, **options):
        result = self.run_hydrant("send", "s", "--http", place, *arguments, stdin=data, **options)
        self.assertEqual(result[0], code, result[2])
        self.assertEqual(result[1], "")
        return result[2]

    def test_lines_arrive_as_they_are(self):
        agent = Agent(self, "[http]\ntoken = open-sesame").start()
        token = {"HYDRANT_TOKEN": "open-sesame"}
        data = b'{"a": 1}\nplain\r\n\n\xff\xfe\nends in CR\r\r\nlast'
        wanted = [{"a": 1}, {"message": "plain"}, {"message_base64": "//4="},
                  {"message": "ends in CR\r"}, {"message": "last"}]
        for arguments in ((), ("--gzip",), ("--durable",), ("--gzip", "--durable")):
            err = self.by_http(agent.http(), data, *arguments, env=token)
            self.assertRegex(err, r"^5 events, \d+ bytes in ")
            self.assertEqual("durable" in err, "--durable" in arguments)
        self.assertIn("answers 401", self.by_http(agent.http(), data, code=1))
        agent.ask("POST", "/v1/flush", {"Authorization": "Bearer open-sesame"})
        self.assertEqual(agent.events("s"), wanted * 4)
        agent.stop()

    def test_by_a_unix_socket(self):
        path = self.path("http")
        agent = Agent(self)
        agent.http = lambda: "unix:" + path
        agent.spawn()
        self.assertRegex(self.by_http("unix:" + path, b"one\n", "--durable"), "^1 events, ")
        self.assertEqual(agent.run("flush")[0], 0)
        self.assertEqual(agent.events("s"), [{"message": "one"}])
        agent.stop()

    def test_many_lines_over_kills_are_there_once_or_counted(self):
        agent = Agent(self).start()
        data = b"".join(b'{"n": %d, "pad": "%s"}\n' % (i, b"x" * 500) for i in range(LINES))
        child = self.popen([self.hydrant, "send", "s", "--http", agent.http(), "--durable",
                            self.write_file("lines", data)], stdout=-1, stderr=-1)
        until(lambda: agent.booked("s", "accepted") > LINES / 10, "it sends")
        agent.kill()
        agent.start()
        err = child.communicate(timeout=DEADLINE_S)[1].decode()
        known = int(re.search(r"(?m)^(\d+) events, ", err)[1])
        unknown = re.search(r": (\d+) events more were sent", err)
        self.assertEqual(known + (int(unknown[1]) if unknown else 0), LINES, err)
        self.assertEqual(child.returncode, 1 if unknown else 0, err)
        agent.flush()
        numbers = [event["n"] for event in agent.events("s")]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreaterEqual(len(numbers), known)
        agent.stop()

    def test_what_was_not_taken_is_sent_again(self):
        script = Script(self, 503, 429, 503, 202)
        err = self.by_http(script.place(), b"one\ntwo\n")
        self.assertRegex(err, "^2 events, ")
        self.assertEqual(script.bodies(), [b"one\ntwo\n"] * 4)
        self.assertEqual(script.requests[0][0], "/v1/streams/s/events")
        self.assertEqual(script.requests[0][1]["Content-Type"], "application/x-ndjson")
        script = Script(self, 503)
        began = time.monotonic()
        err = self.by_http(script.place(), b"one\n", "--timeout", "500ms", code=1)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        self.assertIn("answers 503: as told: given up after the time of --timeout", err)

    def test_it_waits_for_an_agent_and_can_be_interrupted(self):
        agent = Agent(self)
        child = self.popen([self.hydrant, "send", "s", "--http", agent.http()], stdin=-1,
                           stdout=-1, stderr=-1)
        child.stdin.write(b"one\n")
        child.stdin.close()
        agent.start()
        self.assertEqual(child.wait(DEADLINE_S), 0)
        agent.flush()
        self.assertEqual(agent.events("s"), [{"message": "one"}])
        agent.stop()
        child = self.popen([self.hydrant, "send", "s", "--http", agent.http()], stdin=-1,
                           stdout=-1, stderr=-1)
        child.stdin.write(b"one\n")
        child.stdin.close()
        until(lambda: "waiting for the agent" in child.stderr.readline().decode(), "it says so")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(DEADLINE_S), 130)
        self.assertIn(b"interrupted: 0 events", child.stderr.read())

    def test_a_lost_answer_is_counted_and_not_sent_again(self):
        for answer, words in ((None, "Empty reply"), (504, "answers 504"), (500, "answers 500")):
            script = Script(self, answer, 202)
            err = self.by_http(script.place(), b"one\ntwo\n", code=1)
            self.assertIn(words, err)
            self.assertIn("2 events more were sent by connections that broke", err)
            self.assertRegex(err, "(?m)^0 events, ")
            self.assertEqual(len(script.requests), 1)
        for answer in (400, 404, 422):
            script = Script(self, answer)
            err = self.by_http(script.place(), b"one\ntwo\n", code=1)
            self.assertIn("answers %d: as told" % answer, err)
            self.assertNotIn("more were sent", err)

    def test_what_is_too_large_goes_in_pieces(self):
        script = Script(self, lambda body: 202 if len(body) <= 1000 else 413)
        data = b"".join(b"%04d%s\n" % (i, b"y" * 95) for i in range(200))
        self.assertRegex(self.by_http(script.place(), data), "^200 events, ")
        taken = [body for body in script.bodies() if len(body) <= 1000]
        self.assertEqual(b"".join(taken), data)
        self.assertLess(len(script.requests), 60)
        script = Script(self, lambda body: 202 if len(body) <= 1000 else 413)
        err = self.by_http(script.place(), b"a\n" + b"z" * 2000 + b"\nb\n", code=1)
        self.assertIn("a line is not taken: the agent answers 413", err)
        self.assertRegex(err, "(?m)^2 events, ")

    def test_it_is_compressed(self):
        script = Script(self, 202)
        data = b"one and one\n" * 1000
        self.by_http(script.place(), data, "--gzip", "--durable")
        path, headers, body = script.requests[0]
        self.assertEqual(headers["Content-Encoding"], "gzip")
        self.assertEqual(path, "/v1/streams/s/events?ack=durable&timeout=3600")
        self.assertEqual(gzip.decompress(body), data)
