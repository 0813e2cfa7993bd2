"""Parquet files as readers understand them that others have written: DuckDB and hyparquet.

The program parquet_files writes files of all sorts and beside each the rows that went in; both
readers, by tests/node/verify.mjs, must give exactly these back.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import HYDRANT, ROOT, SHORT

FILES = os.path.join(os.path.dirname(HYDRANT), "tests", "e2e", "parquet_files")
NODE = os.path.join(ROOT, "tests", "node")
READERS = ("duckdb", "hyparquet")


def verify(reader, *paths):
    """The rows in the one form that verify.mjs prints."""
    return subprocess.run(["node", os.path.join(NODE, "verify.mjs"), reader, *paths], check=True,
                          stdout=subprocess.PIPE).stdout


def query(sql):
    """Rows of a query, a tuple of strings each."""
    program = """
        import duckdb from '@duckdb/node-api';
        const c = await (await duckdb.DuckDBInstance.create(':memory:')).connect();
        const rows = (await c.runAndReadAll(process.argv[1])).getRowsJson();
        console.log(JSON.stringify(rows));"""
    out = subprocess.run(["node", "--input-type=module", "-e", program, sql], check=True, cwd=NODE,
                         stdout=subprocess.PIPE).stdout
    return [tuple(row) for row in json.loads(out)]


class Parquet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run([os.path.join(NODE, "install")], check=True)
        cls.directory = tempfile.mkdtemp(prefix="hydrant-parquet-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        made = subprocess.run([FILES, cls.directory] + (["short"] if SHORT else []), check=True,
                              stdout=subprocess.PIPE, text=True)
        cls.names = [line.split() for line in made.stdout.splitlines()]

    def path(self, name):
        return os.path.join(self.directory, name)

    def test_readers_give_back_exactly_the_rows_that_went_in(self):
        self.assertGreater(len(self.names), 15)
        cases = {case for case, _ in self.names}
        wanted = {case: verify("json", self.path(case + ".json")).splitlines() for case in cases}
        for reader in READERS:
            rows = verify(reader, *[self.path(name + ".parquet") for _, name in self.names])
            rows, at = rows.splitlines(), 0
            for case, name in self.names:
                with self.subTest(name=name, reader=reader):
                    end = at + len(wanted[case])
                    self.assertLessEqual(end, len(rows))
                    for number, (row, right) in enumerate(zip(rows[at:end], wanted[case])):
                        if row != right:
                            self.fail("row %d: %.2000r is not %.2000r" % (number, row, right))
                at = end
            self.assertEqual(at, len(rows), reader)

    def test_statistics_agree_with_the_values(self):
        """DuckDB skips row groups by them, so each value must be found by asking for it."""
        for name, column in (("mixed-zstd", "l"), ("mixed-zstd", "u"), ("mixed-zstd", "s"),
                             ("mixed-zstd", "d"), ("floats-gzip", "d"), ("floats-gzip", "z"),
                             ("long-none", "s"), ("deltas-gzip", "l"), ("deltas-gzip", "i"),
                             ("deltas-gzip", "u"), ("deltas-gzip", "s")):
            file = "read_parquet('%s')" % self.path(name + ".parquet")
            with self.subTest(name=name, column=column):
                answer = query(
                    "with v as (select distinct %(c)s as v from %(f)s where %(c)s is not null"
                    " order by 1 limit 30), e as (select min(%(c)s) as lo, max(%(c)s) as hi"
                    " from (select * from %(f)s offset 0)) select (select count(*) from v),"
                    " (select count(*) from v where v in (select %(c)s from %(f)s where"
                    " %(c)s = v)), (select min(%(c)s) = (select lo from e) from %(f)s),"
                    " (select max(%(c)s) = (select hi from e) from %(f)s)"
                    % {"c": column, "f": file})
                count, found, low, high = answer[0]
                self.assertEqual((count, low, high), (found, True, True))
        nan = query("select (select count(*) from read_parquet('%(f)s') where d > 1e9),"
                    " count(*) filter (d > 1e9) from (select d from read_parquet('%(f)s') offset 0)"
                    % {"f": self.path("floats-gzip.parquet")})
        self.assertEqual(nan[0][0], nan[0][1])
        self.assertGreater(int(nan[0][0]), 0)

    def test_metadata_says_what_the_columns_are(self):
        rows = query("select name, type, converted_type, logical_type from parquet_schema('%s')"
                     % self.path("mixed-none.parquet"))
        types = {row[0]: row[1:3] for row in rows}
        self.assertEqual(types["b"], ("BOOLEAN", None))
        self.assertEqual(types["i"], ("INT32", "INT_32"))
        self.assertEqual(types["l"], ("INT64", "INT_64"))
        self.assertEqual(types["u"], ("INT64", "UINT_64"))
        self.assertEqual(types["f"], ("FLOAT", None))
        self.assertEqual(types["d"], ("DOUBLE", None))
        self.assertEqual(types["s"], ("BYTE_ARRAY", "UTF8"))
        self.assertEqual(types["x"], ("BYTE_ARRAY", None))
        self.assertEqual(types["t"], ("INT64", "TIMESTAMP_MICROS"))
        logical = {row[0]: row[3] for row in rows}
        self.assertIn("isAdjustedToUTC=1", logical["t"])
        self.assertIn("StringType", logical["s"])


if __name__ == "__main__":
    unittest.main()
