"""RecordType: typed records, read back from Parquet, CSV and JSON."""
import dataclasses
import datetime
import typing
import unittest

from python_case import DEADLINE_S, PythonCase, hydrant
from format_files import files_of, node_install, rows_of

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 123456, UTC)
NOON_US = 1767355200123456


@dataclasses.dataclass
class Payment:
    at: datetime.datetime
    user: str
    amount: float
    count: int
    good: bool
    raw: bytes = b""
    note: typing.Optional[str] = None
    status: "i32 | None" = None
    late: "datetime.datetime | None" = None


class Records(PythonCase):
    @classmethod
    def setUpClass(cls):
        node_install()

    def written(self, config, *records, schema=Payment):
        """Writes records, in files of that format; the folder they are in."""
        self.start("[stream s]\n" + config)
        with self.client() as client:
            record_type = client.stream("s").record_type(schema)
            for record in records:
                record_type.write(record)
            client.flush("delivered", DEADLINE_S)
        self.finish()
        return self.agent.out + "/s"

    RECORDS = (Payment(NOON, "\u00e9\U0001f600", 9.5, -2**63, True, b"\0\xff", "n", -2**31, NOON),
               Payment(NOON, "", float("inf"), 2**63 - 1, False))

    def test_parquet_has_their_types(self):
        place = self.written("format = parquet\n", *self.RECORDS)
        (name, rows), = files_of(place)
        self.assertTrue(name.endswith(".parquet"))
        found = [dict(row) for row in rows]
        self.assertEqual([row["user"] for row in found], ["\u00e9\U0001f600", ""])
        self.assertEqual([str(row["count"]) for row in found], [str(-2**63), str(2**63 - 1)])
        self.assertEqual([row["good"] for row in found], [True, False])
        self.assertEqual([row["note"] for row in found], ["n", None])
        self.assertEqual([row["status"] for row in found], [-2**31, None])
        self.assertEqual(str(found[0]["at"]), str(NOON_US))
        self.assertIsNone(found[1]["late"])

    def test_csv_has_their_columns(self):
        rows = rows_of(self.written("format = csv\n", *self.RECORDS[:1]))
        self.assertEqual([name for name, _ in rows[0]],
                         [field.name for field in dataclasses.fields(Payment)])
        self.assertEqual(dict(rows[0])["amount"], "9.5")

    def test_json_of_a_dataclass_a_dict_and_a_tuple_is_the_same(self):
        record = dataclasses.asdict(self.RECORDS[0])
        rows = rows_of(self.written("format = json\n", self.RECORDS[0], record,
                                    tuple(record.values()),
                                    {**record, "at": NOON_US, "late": NOON.astimezone(
                                        datetime.timezone(datetime.timedelta(hours=9)))}))
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertEqual(row, rows[0])

    def test_small_types_and_many_fields(self):
        schema = {"f%d" % n: kind for n, kind in
                  enumerate(["i32", "i64", "u64", "f32", "f64", "string", "bytes", "bool",
                             "timestamp"] * 10)}
        value = (-5, -6, 2**64 - 1, 0.5, 0.25, "s", memoryview(b"b"), True, 0) * 10
        rows = rows_of(self.written("format = json\n", value, dict(zip(schema, value)),
                                    schema=schema))
        self.assertEqual(len(rows), 2)
        self.assertEqual(rows[0], rows[1])
        values = [cell for _, cell in rows[0]][:9]
        self.assertEqual(values[:6] + values[7:8], [-5, -6, 2**64 - 1, 0.5, 0.25, "s", True])

    def test_equal_schemas_are_one_and_widen_in_order(self):
        stream = self.client().stream("s")
        for _ in range(2000):           # the ring has room for 1,024 definitions
            stream.record_type({"a": int, "b": str})
        for n in range(1022):
            stream.record_type({"f%d" % n: bool})
        with self.assertRaisesRegex(hydrant.Error, "definitions are full"):
            stream.record_type({"one": int, "more": int})

    def test_values_are_checked(self):
        record_type = self.client().stream("s").record_type(Payment)
        self.assertEqual(record_type.fields[:2], ("at", "user"))
        good = dataclasses.asdict(self.RECORDS[0])
        for change, error, words in (
                ({"at": "now"}, TypeError, "datetime"), ({"at": 2**63}, OverflowError, "'at'"),
                ({"user": b"u"}, TypeError, "'user'"), ({"user": None}, ValueError, "'user'"),
                ({"user": "\ud800"}, ValueError, "surrogates"),
                ({"amount": "1"}, TypeError, "'amount'"), ({"count": 1.0}, TypeError, "'count'"),
                ({"count": 2**63}, OverflowError, "'count'"), ({"good": 1}, TypeError, "'good'"),
                ({"raw": "text"}, TypeError, "'raw'"), ({"status": 2**31}, OverflowError, "status"),
                ({"more": 1}, ValueError, "no fields")):
            with self.assertRaisesRegex(error, words):
                record_type.write({**good, **change})
        self.assertRaises(AttributeError, record_type.write, object())
        self.assertRaises(ValueError, record_type.write, (1, 2))
        self.assertRaises(TypeError, record_type.write)
        self.assertRaises(TypeError, record_type.write, good, time=1)
        record_type.write(good, time_ns=5)

    def test_schemas_are_checked(self):
        stream = self.client().stream("s")
        for schema in (5, "text", {"a": dict}, {"a": "i31"}, {"a": typing.Union[int, str]},
                       [("a", int)]):
            self.assertRaises(TypeError, stream.record_type, schema)
        self.assertRaises(ValueError, stream.record_type, {"a\0b": int})
        for schema in ({}, {"": int}, {"x" * 256: int}):
            self.assertRaises(hydrant.Error, stream.record_type, schema)

    def test_a_record_may_write_another_while_it_is_read(self):
        self.start()
        with self.client() as client:
            stream = client.stream("s")
            record_type = stream.record_type({"n": int})

            class Chain:
                def __init__(self, left):
                    self.left = left

                @property
                def n(self):
                    if self.left:
                        record_type.write(Chain(self.left - 1))
                    return self.left

            record_type.write(Chain(5))
            client.flush("delivered", DEADLINE_S)
        self.assertEqual([event["n"] for event in self.agent.events("s")], [0, 1, 2, 3, 4, 5])
        self.finish()


if __name__ == "__main__":
    unittest.main()
