"""clouds: real servers that speak S3, on loopback: Ceph's gateway and OpenStack Swift.

Each lives in a directory of its own below the temporary one, with all its data, and ends with its
owner: what it has started is ended by its id, and that nothing is left is checked. Both check
signatures, hashes of payloads and the rules of uploads in parts; Ceph knows conditional writes,
Swift answers them with 501.

Owns:   servers, their directories and ports.
Units:  seconds.
"""
import functools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid

from harness import processes_in, until

START_S = 120           # of one step; usually all steps take less than half a minute
END_S = 30
REGION = "us-east-1"

CEPH = """
[global]
fsid = %(fsid)s
mon host = [v2:127.0.0.1:%(mon_port)d]
mon data = %(dir)s/mon
osd data = %(dir)s/osd
rgw data = %(dir)s/rgw
keyring = %(dir)s/keyring
run dir = %(dir)s
admin socket =
log file = %(dir)s/$name.log
crash dir = %(dir)s
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 1000
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw rados pool pg num min = 1
rgw frontends = beast endpoint=127.0.0.1:%(port)d
rgw dns name = localhost
rgw enable usage log = false
rgw lc debug interval = -1
"""

# What all servers of Swift have; each has its own application behind its pipeline.
SWIFT = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = %(port)d
workers = 0
user = %(user)s
swift_dir = %(dir)s
devices = %(dir)s/devices
mount_check = false
log_address =
log_level = WARNING

[pipeline:main]
pipeline = %(pipeline)s

[app:%(kind)s-server]
use = egg:swift#%(kind)s
recon_cache_path = %(dir)s
%(more)s
"""

SWIFT_PROXY = """
allow_account_management = true
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:%(memcached_port)d

[filter:s3api]
use = egg:swift#s3api
location = %(region)s

[filter:tempauth]
use = egg:swift#tempauth
user_test_hydrant = %(secret)s .admin

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:symlink]
use = egg:swift#symlink

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
"""

SWIFT_PIPELINE = "catch_errors cache s3api tempauth slo dlo symlink versioned_writes proxy-server"

# Where a server finds swift.conf is no option of its program.
SWIFT_SERVER = """
import sys
from swift.common.utils import set_swift_dir
set_swift_dir(sys.argv[2])
from swift.common.wsgi import run_wsgi
import swift.obj.server
more = {"global_conf_callback": swift.obj.server.global_conf_callback} if sys.argv[3] == "object" \
    else {}
sys.exit(run_wsgi(sys.argv[1], sys.argv[3] + "-server", **more))
"""


class Cloud:
    """A server, between start() and end(); url, access_key and secret_key lead to it."""

    secret_key = "Sec/ret+of=the/Tests"
    conditional = True      # it knows If-None-Match
    programs = {}           # whatever start() runs: its Debian package

    def __init__(self):
        missing = sorted({package for name, package in {**self.programs, "/usr/bin/aws": "awscli"}
                          .items() if not shutil.which(name)})
        if missing:
            raise FileNotFoundError("not installed: %s; etc/deps -q check-full installs them"
                                    % " ".join(missing))
        self.dir = tempfile.mkdtemp(prefix="hydrant-cloud-")
        self.held, self.running = [], []
        self.port = self.port_hold()
        self.url = "http://127.0.0.1:%d" % self.port
        try:
            self.start()
        except BaseException:
            print(self.logs())
            self.end()
            raise

    def port_hold(self):
        """A port that nobody else gets and the servers, who share addresses, do."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.held.append(held)
        return held.getsockname()[1]

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def run(self, *command):
        """A command that prepares something, to its end."""
        done = subprocess.run(command, timeout=START_S, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd=self.dir)
        if done.returncode != 0:
            raise AssertionError("%s: %d: %s" % (" ".join(command), done.returncode, done.stderr))
        return done.stdout

    def spawn(self, name, *command):
        """A server, in the foreground of this process's group."""
        with open(self.path(name + ".out"), "wb") as out:
            self.running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=out, cwd=self.dir))

    def wait_port(self, port):
        def answers():
            for process in self.running:
                if process.poll() is not None:
                    raise AssertionError("%s ended with %d" % (" ".join(process.args),
                                                               process.returncode))
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False

        until(answers, "port %d answers" % port, START_S)

    def end(self):
        """Ends every server by its id; nothing that worked in its directory may be left."""
        try:
            for process in reversed(self.running):
                process.send_signal(signal.SIGTERM)
            for process in self.running:
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            left = processes_in(self.dir)
            if left:
                raise AssertionError("left running by the servers: %r" % left)
        finally:
            for held in self.held:
                held.close()
            shutil.rmtree(self.dir)

    def logs(self):
        """The ends of what its servers have said."""
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.endswith((".out", ".log")):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    text += "--- %s\n%s\n" % (name, file.read()[-4000:])
        return text

    # ------------------------------------------------------------------------------- its client

    @functools.cached_property
    def environment(self):
        """Nothing of the host's settings for AWS, but the keys of this server."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**kept, "AWS_ACCESS_KEY_ID": self.access_key, "LC_ALL": "C.UTF-8",
                "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_DEFAULT_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
                "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}

    def aws(self, *arguments):
        """Debian's AWS CLI; what it prints."""
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", self.url, *arguments],
                              env=self.environment, timeout=10 * START_S, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise AssertionError("aws %s: %d: %s" % (" ".join(arguments), done.returncode,
                                                     done.stderr))
        return done.stdout

    def api(self, operation, bucket, **arguments):
        """An answer of `aws s3api`."""
        words = [word for name, value in arguments.items()
                 for word in ("--" + name.replace("_", "-"), value)]
        out = self.aws("s3api", operation, "--bucket", bucket, "--output", "json", *words)
        return json.loads(out) if out else {}

    def keys(self, bucket):
        """All keys of a bucket, in order."""
        return [entry["Key"] for entry in self.api("list-objects-v2", bucket).get("Contents", [])]

    def uploads(self, bucket):
        """Keys of objects whose upload was begun and neither ended nor aborted."""
        return [entry["Key"] for entry in self.api("list-multipart-uploads", bucket)
                .get("Uploads", [])]


class Ceph(Cloud):
    """A monitor, a store in memory and a gateway."""

    access_key = "HYDRANTSKEY"
    programs = {"ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd", "radosgw": "radosgw",
                "monmaptool": "ceph-common", "ceph": "ceph-common", "radosgw-admin": "radosgw"}

    def start(self):
        fsid, mon_port = str(uuid.uuid4()), self.port_hold()
        conf = ["-c", self.write("ceph.conf", CEPH % {"fsid": fsid, "mon_port": mon_port,
                                                      "dir": self.dir, "port": self.port})]
        for name in ("mon", "osd", "rgw"):
            os.mkdir(self.path(name))
        self.write("keyring", "")
        self.run("monmaptool", *conf, "--create", "--fsid", fsid, "--addv", "a",
                 "[v2:127.0.0.1:%d]" % mon_port, self.path("monmap"))
        self.run("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", self.path("monmap"))
        self.spawn("mon", "ceph-mon", *conf, "-f", "-i", "a")
        self.wait_port(mon_port)
        identity = str(uuid.uuid4())
        self.run("ceph", *conf, "--connect-timeout", str(START_S), "osd", "new", identity)
        self.run("ceph-osd", *conf, "--mkfs", "-i", "0", "--osd-uuid", identity)
        self.spawn("osd", "ceph-osd", *conf, "-f", "-i", "0")
        self.run("radosgw-admin", *conf, "user", "create", "--uid", "hydrant",
                 "--display-name", "Hydrant", "--access-key", self.access_key,
                 "--secret-key", self.secret_key)
        self.spawn("rgw", "radosgw", *conf, "-f", "-n", "client.rgw.a")
        self.wait_port(self.port)


class Swift(Cloud):
    """A proxy and a server each for accounts, containers and objects."""

    access_key = "test:hydrant"
    conditional = False
    programs = {"swift-proxy-server": "swift-proxy", "swift-account-server": "swift-account",
                "swift-container-server": "swift-container",
                "swift-object-server": "swift-object", "memcached": "memcached",
                "swift-ring-builder": "swift"}

    def start(self):
        user = pwd.getpwuid(os.geteuid()).pw_name
        os.makedirs(self.path("devices", "d1"))
        self.write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = hydrant\n")
        memcached_port = self.port_hold()
        self.spawn("memcached", "memcached", "-l", "127.0.0.1", "-p", str(memcached_port), "-U",
                   "0", "-u", user)
        ports = [memcached_port]
        for kind in ("account", "container", "object"):
            port = self.port_hold()
            ring = self.path(kind + ".builder")
            self.run("swift-ring-builder", ring, "create", "4", "1", "0")
            self.run("swift-ring-builder", ring, "add", "r1z1-127.0.0.1:%d/d1" % port, "1")
            self.run("swift-ring-builder", ring, "rebalance")
            self.server(kind, user, port, kind + "-server")
            ports.append(port)
        self.server("proxy", user, self.port, SWIFT_PIPELINE,
                    SWIFT_PROXY % {"memcached_port": memcached_port, "region": REGION,
                                   "secret": self.secret_key})
        for port in ports + [self.port]:
            self.wait_port(port)

    def server(self, kind, user, port, pipeline, more=""):
        conf = self.write(kind + ".conf", SWIFT % {"port": port, "user": user, "dir": self.dir,
                                                   "kind": kind, "pipeline": pipeline,
                                                   "more": more})
        self.spawn(kind, "/usr/bin/python3", "-c", SWIFT_SERVER, conf, self.dir, kind)
