"""kills: what tests share that kill the agent at random moments.

Units: seconds.
"""
import time

from harness import Case

# Small, so that rolls, seals and deliveries are under way at every moment.
CONFIG = """
[wal]
segment_size = 2MiB
max_bytes = 64MiB
sync = %s
[stream *]
buffer_count = 500
buffer_time = 100ms
"""


class KillCase(Case):
    """Lives of an agent that end by SIGKILL; the seed is printed."""

    def setUp(self):
        super().setUp()
        print("seed %d" % self.seed, end=" ", flush=True)

    def config(self, more=""):
        """A SIGKILL takes nothing that was written, synced or not: each life syncs in its way."""
        return CONFIG % self.random.choice(("never", "interval", "always")) + more

    def pause(self, seconds):
        """Chooses a moment; nothing is awaited by it."""
        time.sleep(seconds)

    def live_until_killed(self, agent, more=""):
        """Half of the kills hit the start and the recovery, the others the run."""
        if self.random.random() < 0.5:
            self.pause(self.random.uniform(0, 0.08))
        else:
            agent.wait_ready()
            self.check_books(agent.status())
            self.pause(self.random.uniform(0, 0.5))
        agent.kill()
        agent.configure(self.config(more))

    def end_of(self, producers):
        """Ends their loads; what each has written."""
        for p in producers:
            p.load_end()
        return {p.name: p.close() for p in producers}
