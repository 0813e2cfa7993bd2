"""Odd files and environments give the credentials that botocore finds: credentials_tool looks, and
botocore's own resolver looks, at the same home directory, environment and loopback services.

Where the two differ on purpose is said in `lenient` and in the last tests.

Variables: HYDRANT_BIN (its folder holds the tool), HYDRANT_SEED repeats a run, HYDRANT_LONG=1.
"""
import contextlib
import http.server
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from unittest import mock
from urllib.parse import parse_qs

import botocore.exceptions
import botocore.session
from botocore.utils import ContainerMetadataFetcher

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HYDRANT = os.environ.get("HYDRANT_BIN", os.path.join(ROOT, "build", "release", "hydrant"))
TOOL = os.path.join(os.path.dirname(os.path.abspath(HYDRANT)), "tests", "sink", "credentials_tool")
SEED = int(os.environ.get("HYDRANT_SEED", "1"))
HOSTS = 4000 if os.environ.get("HYDRANT_LONG") == "1" else 300
SANITIZERS = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}

EXPIRATION = "2099-01-01T00:00:00Z"
KEYS = {"AccessKeyId": "%s", "SecretAccessKey": "secret/of+%s", "Token": "token-of-%s==",
        "Expiration": EXPIRATION}
ROLES = "/latest/meta-data/iam/security-credentials/"
STS = ("<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
       "<AssumeRoleWithWebIdentityResult><Credentials>%s</Credentials>"
       "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")

SECRETS = ["wJalr/XUtn+FEMI=", "a#b", "a ; b # c", "=x==", "x=y:z", "\"quoted\"", "'q", "a: b",
           "%(x)s", "$HOME", "back\\slash", "ü", "[x]"]
COMMENTS = ["# comment", "; comment = x", "  # indented", "\t; x", "", "   ", "\t"]
NAMES = ["default", "a", "my name", "b.c-d", "Ü", "x]y", "profile a", "q'q"]


def keys_of(name):
    return {key: value % name if "%s" in value else value for key, value in KEYS.items()}


class Service(http.server.BaseHTTPRequestHandler):
    """A container's agent at /container, the instance metadata at /latest."""

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        good = (self.path == "/latest/api/token"
                and self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600")
        self.answer(200, "TOKEN==") if good else self.answer(400, "")

    def do_GET(self):
        if self.path == "/container" and self.headers["Authorization"] in (None, "Basic x"):
            return self.answer(200, json.dumps(keys_of("CONTAINER")))
        if self.headers["X-aws-ec2-metadata-token"] != "TOKEN==":
            return self.answer(401, "")
        if self.path == ROLES:
            return self.answer(200, "my+role")
        if self.path == ROLES + "my+role":
            return self.answer(200, json.dumps({"Code": "Success", **keys_of("METADATA")}))
        return self.answer(404, "")

    def log_message(self, *_):
        pass


class Host:
    """An environment and a home directory, from a random generator."""

    def __init__(self, draw, home, origin):
        self.draw, self.home, self.origin = draw, home, origin
        self.option = draw.choice(NAMES) if draw.random() < 0.15 else None
        self.env = {}
        self.files = {}
        self.environment()
        for path in (".aws/credentials", ".aws/config"):
            if draw.random() < 0.7:
                self.files[path] = self.shared_file(path.endswith("config"))
        self.move_files()

    def environment(self):
        draw, env = self.draw, self.env
        if draw.random() < 0.2:
            env["AWS_ACCESS_KEY_ID"] = "ENV"
            if draw.random() < 0.8:
                env["AWS_SECRET_ACCESS_KEY"] = draw.choice(SECRETS)
            for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
                if draw.random() < 0.4:
                    env[name] = name + "=="
        if draw.random() < 0.2:
            env["AWS_WEB_IDENTITY_TOKEN_FILE"] = self.home + "/" + draw.choice(
                ["token", "token", "missing"])
            if draw.random() < 0.8:
                env["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/env"
            if draw.random() < 0.5:
                env["AWS_ROLE_SESSION_NAME"] = "session-of-env"
        if draw.random() < 0.3:
            env[draw.choice(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])] = draw.choice(NAMES)
        if draw.random() < 0.3:
            env["AWS_DEFAULT_REGION"] = "env-1"
        if draw.random() < 0.3:
            env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self.origin + draw.choice(
                ["/container", "/container", "/no"])
            if draw.random() < 0.5:
                env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic x"
        if draw.random() < 0.3:
            env["AWS_EC2_METADATA_DISABLED"] = draw.choice(["true", "True", "false"])

    def shared_file(self, config):
        draw = self.draw
        lines = [draw.choice(COMMENTS) for _ in range(draw.randrange(2))]
        for name in draw.sample(NAMES, draw.randrange(1, len(NAMES))):
            lines += self.section(name, config)
        if draw.random() < 0.04:
            lines.insert(draw.randrange(len(lines) + 1), draw.choice(["broken", "= x", "[]"]))
        end = draw.choice(["\n", "\n", "\r\n"])
        return end.join(lines) + draw.choice(["", end])

    def header(self, name, config):
        draw = self.draw
        if config and (name != "default" or draw.random() < 0.3):
            if "'" in name:
                name = '"%s"' % name
            elif " " in name:
                name = draw.choice(['"%s"', "'%s'"]) % name
            name = "profile" + draw.choice([" ", "  "]) + name
        return "[%s]" % name + draw.choice(["", "", " ", " # x"])

    def section(self, name, config):
        draw = self.draw
        settings = {}
        if draw.random() < 0.6:
            settings["aws_access_key_id"] = ("CONFIG" if config else "CREDENTIALS") + str(
                draw.randrange(100))
            if draw.random() < 0.9:
                settings["aws_secret_access_key"] = draw.choice(SECRETS)
        for key in ("aws_session_token", "aws_security_token"):
            if draw.random() < 0.3:
                settings[key] = key + "=="
        if draw.random() < 0.5:
            settings["region"] = "file-%d" % draw.randrange(9)
        if draw.random() < 0.15:
            settings["role_arn"] = "arn:aws:iam::1:role/" + ("config" if config else "credentials")
            settings["web_identity_token_file"] = self.home + "/token"
            if draw.random() < 0.5:
                settings["role_session_name"] = "session-of-file"
        settings["output"] = "json"
        order = list(settings.items())
        draw.shuffle(order)
        indent = draw.choice(["", "", "  ", "\t"])
        lines = [self.header(name, config)]
        for key, value in order:
            key = draw.choice([key, key, key.upper()])
            lines.append(indent + key + draw.choice([" = ", "=", ": ", ":", "\t=\t"]) + value
                         + draw.choice(["", "", "  "]))
            if draw.random() < 0.2:
                lines.append(draw.choice(COMMENTS))
        if draw.random() < 0.3:
            lines += [indent + "s3 =", indent + "    region = nested-1",
                      indent + "    aws_access_key_id = NESTED"]
        return lines

    def move_files(self):
        """Some files are where a variable says."""
        for path, name in ((".aws/credentials", "AWS_SHARED_CREDENTIALS_FILE"),
                           (".aws/config", "AWS_CONFIG_FILE")):
            if self.draw.random() < 0.2:
                to = os.path.basename(path) + ".moved"
                self.env[name] = self.draw.choice(["~/", self.home + "/"]) + to
                if path in self.files:
                    self.files[to] = self.files.pop(path)

    def write(self):
        shutil.rmtree(self.home)
        os.makedirs(self.home + "/.aws")
        for path, text in {"token": "e30.e30.token\n", **self.files}.items():
            with open(os.path.join(self.home, path), "w", encoding="utf-8", newline="") as file:
                file.write(text)

    def environ(self):
        return {"HOME": self.home, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.origin, **self.env}


class Asked:
    """What STS was asked for, and its answer by the role's name."""

    def __init__(self):
        self.role = None

    def keys(self, role, session, token):
        self.role = (role, session, token)
        return keys_of("STS-" + role.rsplit("/", 1)[1])


def ours(host, profile=None):
    """(keys or None, region, error, what STS was asked for) by credentials_tool."""
    asked = Asked()
    command = [TOOL] + ([profile] if profile else [])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with subprocess.Popen(command, env={**host.environ(), **SANITIZERS}, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        while True:
            line = json.loads(process.stdout.readline())
            if "url" not in line:
                break
            process.stdin.write(json.dumps(reply_to(line, asked, opener)) + "\n")
            process.stdin.flush()
    if process.returncode != 0:
        raise AssertionError("credentials_tool: %d" % process.returncode)
    keys = None if "error" in line else (line["access_key"], line["secret_key"],
                                         line["session_token"])
    return keys, line.get("region"), line.get("error"), asked.role


def reply_to(wanted, asked, opener):
    if wanted["url"].startswith("https://sts."):
        form = {name: values[0] for name, values in parse_qs(wanted["body"]).items()}
        if (form["Action"], form["Version"]) != ("AssumeRoleWithWebIdentity", "2011-06-15"):
            return {"status": 400, "body": ""}
        keys = asked.keys(form["RoleArn"], form["RoleSessionName"], form["WebIdentityToken"])
        keys["SessionToken"] = keys.pop("Token")
        return {"status": 200, "body": STS % "".join(
            "<%s>%s</%s>" % (name, value, name) for name, value in keys.items())}
    request = urllib.request.Request(wanted["url"], method=wanted["method"],
                                     headers=wanted["headers"])
    try:
        with opener.open(request, timeout=20) as reply:
            return {"status": reply.status, "body": reply.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def theirs(host, profile=None):
    """The same by botocore; the error is an exception."""
    asked = Asked()

    class Client:
        def assume_role_with_web_identity(self, **wanted):
            keys = asked.keys(wanted["RoleArn"], wanted["RoleSessionName"],
                              wanted["WebIdentityToken"])
            keys["SessionToken"] = keys.pop("Token")
            return {"Credentials": keys}

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, host.environ(), clear=True))
        stack.enter_context(mock.patch.object(botocore.session.Session, "create_client",
                                              lambda *_, **__: Client()))
        stack.enter_context(mock.patch.object(ContainerMetadataFetcher, "RETRY_ATTEMPTS", 1))
        stack.enter_context(mock.patch.object(ContainerMetadataFetcher, "SLEEP_TIME", 0))
        try:
            session = botocore.session.Session(profile=profile)
            found = session.get_credentials()
            keys = found and found.get_frozen_credentials()
            region = session.get_config_variable("region")
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            return None, None, error, asked.role
    if keys is None:
        return None, region or "", None, asked.role
    return (keys.access_key, keys.secret_key, keys.token or ""), region or "", None, asked.role


def lenient(host):
    """With all in the environment the files are not looked at, be they broken."""
    return host.option is None and (
        {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= host.env.keys()
        or {"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME"} <= host.env.keys())


class Credentials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        cls.origin = "http://localhost:%d" % cls.server.server_address[1]
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="hydrant-credentials-")
        self.addCleanup(shutil.rmtree, self.home)

    def compare(self, host):
        """Our source's name, or "error"."""
        host.write()
        keys, region, error, asked = ours(host, host.option)
        their_keys, their_region, their_error, their_asked = theirs(host, host.option)
        about = (host.option, host.env, host.files, error, their_error)
        if their_error is not None and keys is not None:
            self.assertTrue(lenient(host), about)
            self.assertIn(keys[0], ("ENV", "STS-env"), about)
            return "lenient"
        self.assertEqual(keys, their_keys, about)
        if keys is not None:
            self.assertEqual(region, their_region, about)
        if asked is not None and keys is not None:
            self.assertEqual((asked[0], asked[2]), (their_asked[0], their_asked[2].rstrip()), about)
            if not asked[1].startswith("hydrant-"):
                self.assertEqual(asked[1], their_asked[1], about)
        return "error" if keys is None else keys[0].rstrip("0123456789")

    def test_odd_hosts_have_the_credentials_that_botocore_finds(self):
        draw = random.Random(SEED)
        found = {}
        for _ in range(HOSTS):
            name = self.compare(Host(draw, self.home, self.origin))
            found[name] = found.get(name, 0) + 1
        for name in ("ENV", "CREDENTIALS", "CONFIG", "CONTAINER", "METADATA", "STS-env",
                     "STS-config", "error"):
            self.assertGreater(found.get(name, 0), HOSTS // 100, (SEED, found))

    def fixed(self, env=None, option=None, **files):
        host = Host(random.Random(0), self.home, self.origin)
        host.option, host.env = option, dict(env or {})
        host.files = {".aws/" + name: text for name, text in files.items()}
        return host

    def test_each_secret_is_read_as_it_stands(self):
        for secret in SECRETS:
            host = self.fixed(credentials="[default]\naws_access_key_id = A\n"
                              "aws_secret_access_key = %s\n" % secret)
            self.assertEqual(self.compare(host), "A", secret)

    def test_layouts(self):
        for text in ("[default]\n\n\n aws_access_key_id = A\n aws_secret_access_key = S\n",
                     "  [default]\n  aws_access_key_id = A\n  aws_secret_access_key = S\n",
                     "[default]x\naws_access_key_id = A\naws_secret_access_key = S",
                     "[default]\raws_access_key_id = A\raws_secret_access_key = S\r",
                     "[a]\nx =\n y = z\n[default]\naws_access_key_id = A\naws_secret_access_key=S",
                     "[a]\nx =\n [default]\n aws_access_key_id = A\naws_secret_access_key = S\n",
                     "[default]\naws_access_key_id = A\n\n# c\n  ; c\naws_secret_access_key : S\n",
                     "[default]\nAWS_ACCESS_KEY_ID = A\nAws_Secret_Access_Key = S\n",
                     "[ default ]\naws_access_key_id = A\naws_secret_access_key = S\n",
                     "[default]\n[default]\naws_access_key_id = A\naws_secret_access_key = S\n",
                     "[default]\nregion = a\nREGION = b\n", "aws_access_key_id = A\n",
                     "\ufeff[default]\naws_access_key_id = A\naws_secret_access_key = S\n",
                     "[default]\naws_access_key_id A\n", "[default\naws_access_key_id = A\n", ""):
            with self.subTest(text=text):
                self.compare(self.fixed({"AWS_EC2_METADATA_DISABLED": "true"}, credentials=text))

    def test_headers_of_the_config_file(self):
        for header in ("profile a", "profile  a", "profile\ta", "profile 'a'", "profile \"a\"",
                       "profile a b", "profile", "a", "profile \"a", " profile a", "profile a ",
                       "profile \\a", "profile 'a'\"\"", "profile 'x'a", "PROFILE a"):
            with self.subTest(header=header):
                self.compare(self.fixed({"AWS_PROFILE": "a"}, config="[%s]\naws_access_key_id = A\n"
                                        "aws_secret_access_key = S\nregion = x\n" % header))

    def test_a_relative_address_is_that_of_a_container(self):
        host = self.fixed({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x?y=z"})
        host.write()
        with mock.patch.dict(globals(), reply_to=lambda wanted, *_: {"status": 200, "body": wanted[
                "url"].join(['{"AccessKeyId": "A", "SecretAccessKey": "', '"}'])}):
            keys = ours(host)[0]
        self.assertEqual(keys[1], ContainerMetadataFetcher().full_url("/v2/x?y=z"))

    def test_what_is_not_offered_is_an_error_that_says_so(self):
        for text in ("role_arn = arn:x\nsource_profile = b\n", "credential_process = /bin/true\n",
                     "sso_account_id = 1\nsso_role_name = x\n", "role_arn = x\n"):
            host = self.fixed(config="[default]\n" + text)
            host.write()
            keys, _, error, _ = ours(host)
            self.assertIsNone(keys)
            self.assertIn("which is not offered", error)


if __name__ == "__main__":
    unittest.main()
