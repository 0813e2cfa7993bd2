"""kill -9 at random moments: each event exactly once, in order per producer, the books in balance.

A run prints its seed; HYDRANT_SEED repeats the moments, as far as moments can be repeated.
"""
import json
import os
import shutil
import signal
import time

from harness import Agent, Producer, batches, sized, staged, until
from kills import KillCase

KILLS = sized(5, 15, 200)
RATE = sized(3000, 10_000, 5000)


class Crash(KillCase):
    def check_end(self, agent, counts, stream="load"):
        """After the last start: the books, every file's name, every event."""
        agent.flush()
        code, text, err = agent.run("status", "--json")
        self.assertEqual((code, err), (0, ""))
        status = json.loads(text)
        self.check_books(status)
        events = agent.events(stream)
        self.check_once_in_order(events, counts)
        books = next(s for s in status["streams"] if s["name"] == stream)
        self.assertEqual((books["accepted"], books["delivered"], books["lost"], books["dropped"]),
                         (len(events), len(events), 0, 0), "seed %d" % self.seed)
        self.assertEqual(set(status["lost_bytes"].values()), {0})
        names = batches(os.path.join(agent.out, stream))
        self.check_names(names)
        return names

    def test_each_event_once_across_kills_of_the_agent(self):
        agent = Agent(self, self.config()).start()
        producers = [Producer(self, "p%d" % i, pad=300) for i in range(4)]
        for p in producers:
            p.tell("load %d" % RATE)
        until(lambda: batches(os.path.join(agent.out, "load")), "a file of the first life")
        for _ in range(KILLS):
            self.live_until_killed(agent)
            agent.spawn()
        agent.wait_ready()
        counts = self.end_of(producers)
        names = self.check_end(agent, counts)
        self.assertGreater(len(set(name.split("-")[2] for name in names)), 1, "epochs")
        self.assertGreater(agent.log().count("--- start"), KILLS)
        agent.stop()
        self.check_once_in_order(agent.events(), counts)

    def test_each_event_once_under_all_the_load_there_can_be(self):
        """Rings are full all the time; as many kills as the disk has room for."""
        agent = Agent(self, self.config()).start()
        producers = [Producer(self, "f%d" % i, pad=4000, ring_bytes=1 << 20) for i in range(4)]
        for p in producers:
            p.tell("load 1000000")
        for _ in range(sized(2, 4, 20)):
            self.live_until_killed(agent)
            agent.spawn()
        agent.wait_ready()
        counts = self.end_of(producers)
        self.check_end(agent, counts)
        agent.stop()

    def test_each_event_once_across_kills_of_agent_and_producers(self):
        """A dead producer's events count up to the one that it may just have committed."""
        agent = Agent(self, self.config()).start()
        living = [Producer(self, "q%d" % i, pad=300) for i in range(4)]
        counts = {}
        for p in living:
            p.tell("load %d" % RATE)
        for i in range(KILLS):
            victim = living.pop(self.random.randrange(len(living)))
            if self.random.random() < 0.5:
                self.live_until_killed(agent)
                victim.kill()
            else:
                self.pause(self.random.uniform(0, 0.1))
                victim.kill()
                self.live_until_killed(agent)
            agent.spawn()
            counts[victim.name] = (victim.written(), victim.written() + 1)
            living.append(Producer(self, "r%d" % i, pad=300))
            living[-1].tell("load %d" % RATE)
        agent.wait_ready()
        counts.update(self.end_of(living))
        until(lambda: sorted(os.listdir(self.shm)) == [".bell", ".lock"], "rings of the dead go")
        self.check_end(agent, counts)
        agent.stop()

    def test_deliveries_to_two_file_systems_survive_kills(self):
        """One sink takes batches by rename, the other by copy: the same events, once, in both."""
        far = self.shm + ".out"
        os.mkdir(far)
        self.addCleanup(shutil.rmtree, far, ignore_errors=True)
        more = "sinks = local, far\n[sink far]\ntype = file\ndirectory = %s\n" % far
        agent = Agent(self, self.config(more)).start()
        producers = [Producer(self, "p%d" % i, pad=300) for i in range(4)]
        for p in producers:
            p.tell("load %d" % (RATE // 2))
        for _ in range(sized(3, 8, 100)):
            self.live_until_killed(agent, more)
            agent.spawn()
        agent.wait_ready()
        counts = self.end_of(producers)
        names = self.check_end(agent, counts)
        self.assertEqual(batches(os.path.join(far, "load")), names)
        self.check_once_in_order(agent.events(out=far), counts)
        agent.stop()
        self.assertEqual(staged(far), [])

    def test_a_consumer_may_take_files_while_the_agent_dies(self):
        """What was taken away is not delivered again."""
        agent = Agent(self, self.config()).start()
        producers = [Producer(self, "p%d" % i, pad=300) for i in range(4)]
        for p in producers:
            p.tell("load %d" % (RATE // 2))
        taken = []
        os.mkdir(self.path("taken"))

        def take():
            for name in batches(os.path.join(agent.out, "load")):
                os.rename(os.path.join(agent.out, "load", name), self.path("taken", name))
                self.assertNotIn(name, taken)
                taken.append(name)

        for _ in range(KILLS):
            end = time.monotonic() + self.random.uniform(0, 0.3)
            until(lambda: take() or time.monotonic() > end, "the next moment")
            self.live_until_killed(agent)
            take()
            agent.spawn()
        agent.wait_ready()
        counts = self.end_of(producers)
        agent.flush()
        agent.stop()
        take()
        self.check_once_in_order(
            self.events_of(self.path("taken", name) for name in sorted(taken)), counts)

    def test_a_kill_in_the_stop_loses_nothing(self):
        agent = Agent(self, self.config())
        counts = {}
        for i in range(sized(3, 6, 60)):
            agent.start()
            producer = Producer(self, "p%d" % i, pad=300)
            producer.do("write 10000")
            counts[producer.name] = producer.close()
            agent.process.terminate()
            self.pause(self.random.uniform(0, 0.02))
            agent.kill(stopping=True)
            self.assertIn(agent.process.returncode, (0, -signal.SIGKILL))
        agent.start()
        self.check_end(agent, counts)
        agent.stop()
