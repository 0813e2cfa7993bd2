"""`hydrant top` on a terminal: it moves, obeys keys and sizes, and leaves the terminal as it was."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from harness import DEADLINE_S, Agent, Case, Producer, until

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
COLOUR = re.compile(rb"\x1b\[[13]\d?m")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A command on a terminal of its own, and what it has written there."""

    def __init__(self, case, *arguments, rows=24, columns=80, **env):
        self.master, self.slave = pty.openpty()
        case.addCleanup(os.close, self.master)
        case.addCleanup(os.close, self.slave)
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        self.out = b""

        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = case.popen([case.hydrant, *arguments], stdin=self.slave, stdout=self.slave,
                                  stderr=self.slave, preexec_fn=lead,
                                  env={**os.environ, "TERM": "xterm", **env})

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.out += os.read(self.master, 65536)
        return self.out

    def screen(self):
        """The lines of the last whole screen."""
        frames = self.read().split(b"\x1b[H")
        whole = [f for f in frames if b"q quit" in f]
        return CONTROL.sub("", whole[-1].decode()).split("\n") if whole else []

    def shows(self, pattern):
        return until(lambda: re.search(pattern, "\n".join(self.screen())),
                     lambda: "%s in %s" % (pattern, self.screen()))

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        def over():
            self.read()
            return self.process.poll() is not None

        until(over, "it ends")
        self.read()
        return self.process.returncode

    def is_left(self):
        """The last word is that the screen is given back, and the modes are as they were."""
        return (self.out.count(ENTER) == self.out.count(LEAVE) and LEAVE in self.out[-20:]
                and termios.tcgetattr(self.slave) == self.modes)


class Top(Case):
    def setUp(self):
        super().setUp()
        self.agent = Agent(self).start()

    def top(self, *arguments, **options):
        return Terminal(self, "top", "--http", self.agent.http(), "--interval", "100ms",
                        *arguments, **options)

    def test_it_is_live_and_obeys_keys_and_sizes(self):
        self.send("a", b"one\n", "--delivered")
        producer = Producer(self, "p", stream="b")
        producer.tell("load 500")
        top = self.top()
        top.shows(r"\nb +[1-9][0-9.]*  ")
        top.shows(r"\na +0 +0 +1 +1 +0 +0 +0 +-")
        top.shows(r"\nlocal +file +well ")
        top.shows(r"\np\S*\.ring +attached")
        self.assertRegex(top.out, COLOUR)

        def streams():
            return re.findall(r"\n([ab]) ", "\n".join(top.screen()))

        self.assertEqual(streams(), ["a", "b"])
        top.press(b"i")
        until(lambda: streams() == ["b", "a"], "the busier one first")
        top.press(b"r")
        until(lambda: streams() == ["a", "b"], "turned round")
        top.press(b" ")
        top.shows(r"paused")
        top.press(b"x \x1b[A")          # neither is a key; a space goes on
        until(lambda: "paused" not in "\n".join(top.screen()), "it goes on")
        for rows, columns in ((10, 40), (50, 132)):
            seen = len(top.out)
            top.resize(rows, columns)
            until(lambda: b"\x1b[%d;1H" % rows in top.read()[seen:], "the last line moves")
            until(lambda: len(top.screen()) < rows, "all of it is on the screen")
        top.press(b"q")
        self.assertEqual(top.end(), 0)
        self.assertTrue(top.is_left())
        producer.load_end()
        producer.close()
        self.agent.stop()

    def test_the_terminal_is_as_it_was_however_it_ends(self):
        ends = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131}
        for number, code in ends.items():
            top = self.top()
            top.shows("q quit")
            self.assertNotEqual(termios.tcgetattr(top.slave), top.modes)
            top.process.send_signal(number)
            self.assertEqual(top.end(), code)
            self.assertTrue(top.is_left(), number)
        top = self.top()
        top.shows("q quit")
        top.press(b"\x03")
        self.assertEqual(top.end(), 130)
        self.assertTrue(top.is_left())
        self.agent.stop()

    def test_it_can_be_stopped_and_goes_on(self):
        top = self.top()
        top.shows("q quit")
        top.press(b"\x1a")
        self.assertTrue(os.WIFSTOPPED(os.waitpid(top.process.pid, os.WUNTRACED)[1]))
        top.read()
        self.assertTrue(top.is_left())
        top.process.send_signal(signal.SIGCONT)
        until(lambda: top.read().count(ENTER) == 2, "the screen is back")
        top.out = top.out[top.out.rindex(ENTER):]
        top.shows("q quit")
        top.press(b"q")
        self.assertEqual(top.end(), 0)
        self.agent.stop()

    def test_it_waits_for_an_agent_that_is_away(self):
        top = self.top()
        top.shows("ready")
        self.agent.kill()
        top.shows("no answer: ")
        self.agent.start()
        until(lambda: "no answer" not in "\n".join(top.screen()), "it is back")
        top.press(b"q")
        self.assertEqual(top.end(), 0)
        self.agent.stop()
        code, out, err = self.agent.run("top")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("no agent answers at " + self.agent.http(), err)

    def test_once_where_nobody_looks_and_without_colours_where_none_are_wanted(self):
        self.send("a", b"one\n", "--delivered")
        code, out, err = self.agent.run("top", "--interval", "100ms")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"\na +0 +0 +1 +1 +0 +0 +0 +-\n")
        self.assertNotIn("\x1b", out)
        dumb = self.top(TERM="dumb")
        self.assertEqual(dumb.end(), 0)
        self.assertNotIn(b"\x1b", dumb.out)
        top = self.top(NO_COLOR="1")
        top.shows(r"n name\* i in")
        self.assertNotRegex(top.out, COLOUR)
        top.press(b"q")
        self.assertEqual(top.end(), 0)
        for arguments in (("--interval", "99ms"), ("--interval", "x"), ("more",)):
            self.assertEqual(self.agent.run("top", *arguments)[0], 2)
        self.agent.stop()
