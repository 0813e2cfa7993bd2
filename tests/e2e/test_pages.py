"""The pages of the agent: how they are served, what they may do, and in a browser; the API's
document against what is served."""
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile

from harness import DEADLINE_S, ROOT, Agent, Case, Producer

NODE = os.path.join(ROOT, "tests", "node")
PAGES = {"/": "text/html", "/docs": "text/html", "/openapi.json": "application/json",
         "/web/dashboard.js": "text/javascript", "/web/docs.js": "text/javascript",
         "/web/icon.svg": "image/svg+xml", "/web/style.css": "text/css"}
TOKEN = "open-sesame"


def node(script, *arguments):
    """(code, output) of a script in tests/node."""
    done = subprocess.run(["node", os.path.join(NODE, script), *arguments], timeout=2 * DEADLINE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace")


def endpoints():
    """(method, path) of each row of http_api.c."""
    with open(os.path.join(ROOT, "agent", "control", "http_api.c"), encoding="utf-8") as file:
        rows = re.findall(r'\{ "(GET|PUT|POST|DELETE)", "(/[^"]*)", (?:NULL|"([^"]*)")', file.read())
    return [(method, path + ("{name}" + tail if path.endswith("/") and path != "/" else ""))
            for method, path, tail in rows]


class Pages(Case):
    def fetch(self, agent, method, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def test_pages_are_open_to_all_kept_and_asked_for_again(self):
        agent = Agent(self, "[http]\ntoken = " + TOKEN).start()
        for path, kind in PAGES.items():
            code, headers, body = self.fetch(agent, "GET", path)
            self.assertEqual(code, 200, path)
            self.assertEqual(headers.get_content_type(), kind)
            self.assertEqual(headers["Cache-Control"], "no-cache")
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertNotIn("unsafe", headers["Content-Security-Policy"])
            same, again, nothing = self.fetch(agent, "GET", path,
                                              {"If-None-Match": "W/" + headers["ETag"]})
            self.assertEqual((same, again["ETag"], nothing), (304, headers["ETag"], b""))
            self.assertEqual(self.fetch(agent, "GET", path, {"If-None-Match": '"other"'})[0], 200)
            head = self.fetch(agent, "HEAD", path)
            self.assertEqual((head[0], int(head[1]["Content-Length"]), head[2]),
                             (200, len(body), b""))
            code, headers, _ = self.fetch(agent, "DELETE", path)
            self.assertEqual((code, headers["Allow"]),
                             (405, "GET, HEAD, POST" if path == "/" else "GET, HEAD"))
        self.assertEqual(self.fetch(agent, "GET", "/", {"Host": "evil.example"})[0], 403)
        self.assertEqual(self.fetch(agent, "GET", "/v1/status")[0], 401)
        agent.stop()

    def test_pages_ask_nobody_else(self):
        agent = Agent(self).start()
        for path in PAGES:
            text = self.fetch(agent, "GET", path)[2].decode()
            if path != "/openapi.json":
                found = set(re.findall(r"(?:https?:)?//[a-z][a-z0-9.]*", text))
                self.assertLessEqual(found, {"http://www.w3.org"}, path)
            self.assertNotIn("innerHTML", text)
            self.assertNotRegex(text, r"(?i)<[^>]+\s(style|on[a-z]+)=", path)
        agent.stop()

    def test_in_a_browser(self):
        agent = Agent(self).start()
        shm = tempfile.mkdtemp(prefix="hydrant-e2e-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, shm)
        guarded = Agent(self, "[http]\ntoken = " + TOKEN, data="guarded", shm=shm).start()
        producer = Producer(self, "p")
        producer.tell("load 500")
        code, out = node("browse.mjs", "http://" + agent.http(), "http://" + guarded.http(), TOKEN)
        self.assertEqual(code, 0, out)
        producer.load_end()
        producer.close()
        self.assertEqual((agent.terminate(), guarded.terminate()), (0, 0))


class Document(Case):
    def test_the_document_is_valid(self):
        code, out = node("openapi.mjs", os.path.join(ROOT, "agent/control/web/openapi.json"))
        self.assertEqual(code, 0, out)

    def test_what_is_served_is_in_the_document_and_the_other_way_round(self):
        agent = Agent(self).start()
        api = json.loads(agent.ask("GET", "/openapi.json")[1])
        agent.stop()
        version = self.run_hydrant("--version")[1].split()[1]
        self.assertEqual(api["info"]["version"], version)
        served = endpoints() + [("GET", path) for path in PAGES if not path.startswith("/web/")]
        self.assertGreater(len(served), 10)
        for method, path in served:
            self.assertIn(path, api["paths"])
            self.assertIn(method.lower(), api["paths"][path], path)

        # What makes streams and MiniFirehoses comes as a whole; without it the document is ahead.
        described = {(method.upper(), path) for path, item in api["paths"].items()
                     for method in item if method != "parameters"}
        missing = described - set(served)
        if any(path == "/minifirehoses" for _, path in served):
            self.assertEqual(missing, set())
        else:
            self.assertEqual({path for _, path in missing if not path.startswith("/minifirehoses")},
                             {"/v1/streams", "/v1/streams/{name}"})

    def test_status_is_as_the_document_says(self):
        agent = Agent(self).start()
        self.send("s", b"one\n", "--delivered")
        api = json.loads(agent.ask("GET", "/openapi.json")[1])
        schemas = api["components"]["schemas"]

        def check(value, schema, where):
            """Each field is described, and so is everything below it."""
            if "$ref" in schema:
                schema = schemas[schema["$ref"].rpartition("/")[2]]
            if isinstance(value, dict) and "properties" in schema:
                self.assertEqual(set(value) - set(schema["properties"]), set(), where)
                for name, inner in value.items():
                    check(inner, schema["properties"][name], where + "." + name)
            elif isinstance(value, list):
                for inner in value:
                    check(inner, schema["items"], where + "[]")

        check(agent.status(), {"$ref": "#/components/schemas/Status"}, "status")
        agent.stop()
