"""S3: each event in exactly one object, whatever the service does, and however often the agent is
killed; keys, secrets, credentials from everywhere, and sinks that do not wait for one another.

Beside the scripted server of tests/aws, which verifies every signature, hash and checksum.
"""
import gzip
import json
import os
import threading
import time
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from harness import DEADLINE_S, NOBODY, Agent, Case, Producer, sized, until
from kills import KillCase
from services import ACCESS_KEY, SECRET_KEY, Aws

SINK = """
[sink cloud]
type = s3
bucket = events
endpoint = %s
region = us-east-1
part_size = 5MiB
retry_max_backoff = 500ms
%s
"""
KEYS = "access_key = %s\nsecret_key = %s\n" % (ACCESS_KEY, SECRET_KEY)

ROLE = "arn:aws:iam::123456789012:role/writer"

EVERY_FAULT = [{"fault": name, "probability": p} for name, p in (
    ("500", .04), ("502", .01), ("503", .02), ("504", .01), ("throttle", .02), ("409", .02),
    ("reset_before", .02), ("reset_during", .03), ("reset_after", .03), ("200_error", .03),
    ("stored_500", .03), ("stored_503", .02), ("stored_reset", .04), ("stored_200_error", .02),
    ("cut", .02), ("expired", .01), ("skewed", .01))]


def stored(aws):
    """Ledger entries of whole objects, by key; a key that comes twice is a mistake."""
    objects = {}
    for entry in aws.lines("ledger.jsonl"):
        if entry["op"] in ("PutObject", "CompleteMultipartUpload"):
            assert entry["key"] not in objects, "stored twice: " + entry["key"]
            objects[entry["key"]] = entry
    return objects


def body(entry):
    with open(entry["file"], "rb") as file:
        data = file.read()
    return gzip.decompress(data) if entry["key"].endswith(".gz") else data


class S3Case(Case):
    def begin(self, stream="", sink=KEYS, options=(), wrap=()):
        self.aws = Aws(self, *options)
        self.stream_keys = stream
        return self.agent_with(sink, wrap)

    def text(self, sink):
        return "[stream *]\nsinks = cloud\n%s\n%s" % (self.stream_keys,
                                                      SINK % (self.aws.url, sink))

    def agent_with(self, sink, wrap=()):
        self.agent = Agent(self, self.text(sink), wrap=wrap).start()
        return self.agent

    def sink(self, name="cloud"):
        """Of one that no stream has yet: it waits for nothing."""
        none = {"name": name, "waits_because": None, "batches_waiting": 0}
        return next((k for k in self.agent.status()["sinks"] if k["name"] == name), none)

    def numbers(self, objects=None):
        """The "n" of all events in all objects of the stream load."""
        objects = stored(self.aws) if objects is None else objects
        return [json.loads(line)["n"] for key in sorted(objects)
                for line in body(objects[key]).splitlines()]

    def send_numbers(self, count, first=0, stream="load", pad=0):
        lines = b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, b"%x" % (n * 7919) * pad)
                         for n in range(first, first + count))
        self.send(stream, lines)


class S3Test(S3Case):
    def test_objects_have_names_and_metadata_that_prove_them(self):
        agent = self.begin("compression = gzip\nprefix = y=!{timestamp:yyyy}/",
                           KEYS + "prefix = a b/+x=ü\n")
        self.send_numbers(5000)
        agent.flush()
        objects = stored(self.aws)
        key, entry = next(iter(objects.items()))
        self.assertEqual(len(objects), 1)
        self.assertRegex(key, r"^a b/\+x=ü/load/y=\d{4}/\d{14}-tester-[0-9a-f]{16}-000-\d{10}"
                              r"\.json\.gz$")
        headers = entry["headers"]
        self.assertEqual(headers["x-amz-meta-hydrant-events"], "5000")
        self.assertIn(headers["x-amz-meta-hydrant-batch"], key)
        self.assertEqual(headers["content-type"], "application/x-ndjson")
        self.assertEqual(self.numbers(), list(range(5000)))
        self.assertEqual(self.sink()["type"], "s3")
        agent.stop()

    def test_a_large_batch_goes_in_parts(self):
        agent = self.begin()
        self.send_numbers(60000, pad=40)
        agent.flush()
        objects = stored(self.aws)
        operations = [r["op"] for r in self.aws.requests()]
        self.assertGreater(operations.count("UploadPart"), 2)
        self.assertEqual([e["op"] for e in objects.values()], ["CompleteMultipartUpload"])
        self.assertEqual(self.numbers(objects), list(range(60000)))
        agent.stop()

    def test_a_service_without_conditions(self):
        agent = self.begin("buffer_count = 1000", options=["--no-conditional"])
        self.aws.script(random=EVERY_FAULT, seed=5)
        self.send_numbers(20000)
        self.aws.script(random=EVERY_FAULT, seed=6)
        agent.flush()
        latest = {e["key"]: e for e in self.aws.lines("ledger.jsonl")
                  if e["op"] in ("PutObject", "CompleteMultipartUpload")}
        self.assertEqual(sorted(self.numbers(latest)), list(range(20000)))
        agent.stop()

    def test_a_wrong_secret_is_told_and_the_right_one_delivers(self):
        agent = self.begin(sink="access_key = %s\nsecret_key = wrong-hush\n" % ACCESS_KEY)
        self.send_numbers(1000)
        flush = threading.Thread(target=agent.flush, daemon=True)
        flush.start()
        waits = until(lambda: self.sink()["waits_because"], "the sink says why it waits")
        self.assertIn("SignatureDoesNotMatch", waits)
        self.assertIn("secret_key", waits)
        self.assertIn("SignatureDoesNotMatch", agent.run("status")[1])
        self.assertEqual(stored(self.aws), {})
        texts = [agent.ask("GET", path)[1] for path in ("/v1/status", "/metrics")]
        agent.configure(self.text(KEYS))
        agent.process.send_signal(1)
        flush.join(DEADLINE_S)
        self.assertFalse(flush.is_alive())
        self.assertEqual(self.numbers(), list(range(1000)))
        agent.stop()
        with open("/proc/self/cmdline", "rb") as file:
            self.assertNotIn(b"hush", file.read())
        for text in texts + [agent.log()]:
            self.assertNotIn("hush", text)
            self.assertNotIn(SECRET_KEY, text)

    def test_nobody_looks_into_a_process_with_keys(self):
        """What may not be dumped belongs to root in /proc."""
        self.programs_for_all()
        home, owners = self.path("home"), []
        for place in (home, self.shm):
            os.makedirs(place, exist_ok=True)
            os.chown(place, NOBODY, NOBODY)
        self.aws, self.stream_keys = Aws(self), ""
        for text in ("", self.text(KEYS), "core_dumps = yes\n" + self.text(KEYS)):
            agent = Agent(self, text, data="home/data", uid=NOBODY, memlock=8 << 20)
            for path in (agent.config, agent.log_path):
                with open(path, "ab"):
                    os.chmod(path, 0o666)
            agent.start()
            owners.append(os.stat("/proc/%d/environ" % agent.process.pid).st_uid)
            self.assertEqual(agent.terminate(), 0)
        self.assertEqual(owners, [NOBODY, 0, NOBODY])

    def test_a_sink_that_hangs_holds_up_nobody(self):
        self.aws = Aws(self)
        self.aws.script(random=[{"fault": "hang", "probability": 1}])
        agent = self.agent = Agent(self, "[stream *]\nsinks = local, cloud\nbuffer_count = 100\n"
                                   "[sink local]\n" + SINK % (self.aws.url, KEYS)).start()
        self.send_numbers(200000)
        until(lambda: len(agent.events()) == 200000, "all is in files")
        self.assertGreater(self.sink()["batches_waiting"], 1500)
        self.assertEqual(self.sink("local")["batches_waiting"], 0)
        self.assertEqual(agent.stream("load")["delivered"], 0)
        self.assertFalse(any("seals_max" in line or "log_full" in line
                             for line in agent.log().splitlines()))
        self.aws.script(random=[])
        agent.configure("[stream *]\nsinks = local, cloud\nbuffer_count = 100\n[sink local]\n"
                        + SINK % (self.aws.url, KEYS + "timeout = 2s\n"))
        agent.process.send_signal(1)
        agent.flush()
        self.assertEqual(sorted(self.numbers()), list(range(200000)))
        agent.stop()

    def test_a_sink_that_leaves_takes_what_waits_with_it(self):
        agent = self.begin("buffer_count = 100")
        self.aws.script(random=[{"fault": "500", "probability": 1}])
        self.send_numbers(1000)
        until(lambda: self.sink()["batches_waiting"] == 10, "batches wait")
        agent.configure("[stream *]\nsinks = local\n[sink local]\n")
        agent.process.send_signal(1)
        until(lambda: agent.stream("load")["pending"] == 0, "they are given up")
        self.assertEqual(agent.stream("load")["dropped_by_reason"]["sink_removed"], 1000)
        self.send_numbers(10, 1000)
        agent.flush()
        self.assertEqual(len(agent.events()), 10)
        agent.stop()

    def test_the_error_output_is_in_the_bucket(self):
        agent = self.begin("format = csv\ncolumns = n i64")
        self.send("load", b'{"n":1}\n{"n":"no"}\n')
        agent.flush()
        keys = sorted(stored(self.aws))
        self.assertRegex(keys[0], r"^load/.*\.csv$")
        self.assertRegex(keys[1], r"^load/errors/format-conversion-failed/.*\.json$")
        agent.stop()


class Killed(S3Case, KillCase):
    def test_every_fault_and_ten_kills(self):
        self.aws = Aws(self)
        self.aws.script(random=EVERY_FAULT, seed=self.seed)
        more = ("sinks = cloud\nbuffer_size = 8MiB\ncompression = %s\n"
                + (SINK % (self.aws.url, KEYS + "timeout = 2s\n")).replace("%", "%%"))
        agent = self.agent = Agent(self, self.config(more % "none")).start()
        producers = [Producer(self, "p%d" % i) for i in range(2)]
        for p in producers:
            p.tell("load %d" % sized(2000, 4000, 20000))
        for _ in range(sized(3, 10, 100)):
            self.live_until_killed(agent, more % self.random.choice(("none", "gzip")))
            agent.spawn()
        agent.wait_ready()
        written = self.end_of(producers)
        self.aws.script(random=[])
        agent.flush()
        found = [json.loads(line) for entry in stored(self.aws).values()
                 for line in body(entry).splitlines()]
        self.assertEqual(sorted((e["p"], e["n"]) for e in found),
                         sorted((name, n) for name, count in written.items()
                                for n in range(count)))
        self.assertEqual(self.aws.uploads_open(), [])
        agent.stop()


class StandIn:
    """What hands out keys: instance metadata, a container's agent, STS. Each call gives the keys
    that hold now; they expire so soon that they are renewed at once."""

    def __init__(self, case):
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer("")

            def do_PUT(self):
                self.answer("")

            def do_POST(self):
                self.answer(self.rfile.read(int(self.headers["content-length"])).decode())

            def answer(self, body):
                status, text = standin.serve(self.command, self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self.asked, self.number, self.seconds = [], 0, 3600
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)

    def keys(self):
        return {"access": "ASIA%d" % self.number, "secret": "secret%d" % self.number,
                "token": "token/%d=" % self.number}

    def document(self, names):
        values = self.keys()
        values["until"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()
                                                                          + self.seconds))
        return {name: values[key] for name, key in names.items()}

    def serve(self, method, path, headers, body):
        self.asked.append((method, path))
        if path == "/latest/api/token":
            return (200, "imds-token") if method == "PUT" else (405, "")
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if headers.get("x-aws-ec2-metadata-token") != "imds-token":
                return 401, ""
            if path.endswith("/"):
                return 200, "role-1"
        elif path.startswith("/keys"):
            if headers.get("authorization") != "container-token":
                return 403, ""
        elif method == "POST":
            asked = dict(urllib.parse.parse_qsl(body))
            if asked.get("WebIdentityToken") != "jwt" or asked["RoleArn"] != ROLE:
                return 403, ""
            k = self.document({"AccessKeyId": "access", "SecretAccessKey": "secret",
                               "SessionToken": "token", "Expiration": "until"})
            return 200, ("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
                         "<Credentials>%s</Credentials></AssumeRoleWithWebIdentityResult>"
                         "</AssumeRoleWithWebIdentityResponse>"
                         % "".join("<%s>%s</%s>" % (n, v, n) for n, v in k.items()))
        else:
            return 404, ""
        return 200, json.dumps({"Code": "Success", **self.document(
            {"AccessKeyId": "access", "SecretAccessKey": "secret", "Token": "token",
             "Expiration": "until"})})


class Credentials(S3Case):
    """Each source delivers; its keys expire while the agent runs, and others follow."""

    def environment(self, **env):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        patch = mock.patch.dict(os.environ, {**kept, "HOME": self.dir, **env}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def deliver(self, standin, rotate):
        """Two batches, and between them the keys of the first have expired."""
        keys = standin.keys()
        self.aws = Aws(self, "--access-key", keys["access"], "--secret-key", keys["secret"],
                       "--session-token", keys["token"])
        self.stream_keys = ""
        agent = self.agent_with("")
        self.send_numbers(100)
        agent.flush()
        standin.number += 1
        rotate()
        self.aws.keys(**standin.keys())
        self.send_numbers(100, 100)
        agent.flush()
        self.assertEqual(self.numbers(), list(range(200)))
        agent.stop()
        self.assertNotIn("secret0", agent.log())
        self.assertNotIn("token/0=", agent.log())

    def test_instance_metadata(self):
        standin = StandIn(self)
        self.environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=standin.url)
        self.deliver(standin, lambda: None)
        self.assertEqual(standin.asked[0], ("PUT", "/latest/api/token"))

    def test_container(self):
        standin = StandIn(self)
        token = self.write_file("token", "container-token")
        self.environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=standin.url + "/keys",
                         AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token)
        self.deliver(standin, lambda: None)

    def test_web_identity(self):
        standin = StandIn(self)
        self.environment(AWS_ROLE_ARN=ROLE, AWS_ENDPOINT_URL_STS=standin.url,
                         AWS_WEB_IDENTITY_TOKEN_FILE=self.write_file("jwt", "jwt"))
        self.deliver(standin, lambda: None)

    def test_shared_files_and_profiles(self):
        standin = StandIn(self)
        path = self.path("credentials")

        def write():
            k = standin.keys()
            self.write_file("credentials", "[default]\naws_access_key_id = wrong\n"
                            "aws_secret_access_key = wrong\n[team]\naws_access_key_id = %s\n"
                            "aws_secret_access_key = %s\naws_session_token = %s\n"
                            % (k["access"], k["secret"], k["token"]))

        write()
        self.environment(AWS_SHARED_CREDENTIALS_FILE=path, AWS_PROFILE="team")
        self.deliver(standin, write)

    def test_nothing_is_set_up(self):
        self.environment(AWS_EC2_METADATA_DISABLED="true")
        self.aws, self.stream_keys = Aws(self), ""
        agent = self.agent_with("")
        self.send_numbers(10)
        threading.Thread(target=agent.flush, daemon=True).start()
        until(lambda: "access_key" in (self.sink()["waits_because"] or ""),
              lambda: "keys have been looked for: %s" % self.sink())
        agent.configure(self.text(KEYS))
        agent.process.send_signal(1)
        until(lambda: self.sink()["waits_because"] is None, "the keys are there")
        agent.flush()
        self.assertEqual(self.numbers(), list(range(10)))
        agent.stop()


if __name__ == "__main__":
    unittest.main()
