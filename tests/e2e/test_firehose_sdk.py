"""The AWS SDK for JavaScript against the agent's Firehose endpoint: every operation."""
import json
import os
import subprocess

from format_files import node_install
from harness import ROOT, Agent, Case

KEYS = "[http]\nfirehose_access_key = AKIDTEST\nfirehose_secret_key = s3cret/+key\n"


class Sdk(Case):
    @classmethod
    def setUpClass(cls):
        node_install()

    def run_sdk(self, agent, name, secret="s3cret/+key"):
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
        out = subprocess.run(["node", "firehose.mjs", "http://" + agent.http(), "AKIDTEST", secret,
                              name], cwd=os.path.join(ROOT, "tests", "node"), check=True,
                             stdout=subprocess.PIPE, env=environment, timeout=120).stdout
        return json.loads(out)

    def test_every_operation(self):
        agent = Agent(self, KEYS).start()
        answers = self.run_sdk(agent, "sdk")
        self.assertNotIn("error", answers)
        self.assertEqual(len(answers), 12)
        self.assertIn(":deliverystream/sdk", answers["CreateDeliveryStream"]["DeliveryStreamARN"])
        self.assertIn("sdk", answers["ListDeliveryStreams"]["DeliveryStreamNames"])
        self.assertTrue(answers["PutRecord"]["RecordId"])
        batch = answers["PutRecordBatch"]
        self.assertEqual(batch["FailedPutCount"], 0)
        self.assertEqual(len({r["RecordId"] for r in batch["RequestResponses"]}), 3)
        found = answers["DescribeDeliveryStream"]["DeliveryStreamDescription"]
        self.assertEqual((found["DeliveryStreamStatus"], found["VersionId"]), ("ACTIVE", "1"))
        self.assertEqual(answers["ListTagsForDeliveryStream"]["Tags"],
                         [{"Key": "team", "Value": "a"}])
        agent.stop()
        text = b""
        for folder, _, names in sorted(os.walk(os.path.join(agent.out, "sdk"))):
            for name in sorted(names):
                with open(os.path.join(folder, name), "rb") as file:
                    text += file.read()
        self.assertEqual(text.decode(), '{"n":0}\n' + "".join(
            '{"n":%d,"text":"ünïcode"}\n' % n for n in (1, 2, 3)))

    def test_a_wrong_secret_is_refused(self):
        agent = Agent(self, KEYS).start()
        answers = self.run_sdk(agent, "sdk", secret="wrong")
        self.assertRegex(answers["error"], r"Signature")
        self.assertEqual(list(answers), ["error"])
        self.assertEqual(agent.status()["streams"], [])
        agent.stop()
