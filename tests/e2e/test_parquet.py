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

from harness import HYDRANT, ROOT, SHORT, sized

FILES = os.path.join(os.path.dirname(HYDRANT), "tests", "e2e", "parquet_files")
NODE = os.path.join(ROOT, "tests", "node")
READERS = ("duckdb", "hyparquet")


def verify(reader, *paths):
    """The rows in the one form that verify.mjs prints."""
    return subprocess.run(["node", os.path.join(NODE, "verify.mjs"), reader, *paths], check=True,
                          stdout=subprocess.PIPE).stdout


def queries(*texts):
    """The rows of each query, a tuple of strings a row."""
    program = """
        import duckdb from '@duckdb/node-api';
        const c = await (await duckdb.DuckDBInstance.create(':memory:')).connect();
        for (const sql of process.argv.slice(1))
            console.log(JSON.stringify((await c.runAndReadAll(sql)).getRowsJson()));"""
    out = subprocess.run(["node", "--input-type=module", "-e", program, *texts], check=True,
                         cwd=NODE, stdout=subprocess.PIPE).stdout
    return [[tuple(row) for row in json.loads(line)] for line in out.splitlines()]


def query(sql):
    return queries(sql)[0]


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
        columns = (("mixed-zstd", "l"), ("mixed-zstd", "u"), ("mixed-zstd", "s"),
                   ("mixed-zstd", "d"), ("floats-gzip", "d"), ("floats-gzip", "z"),
                   ("long-none", "s"), ("deltas-gzip", "l"), ("deltas-gzip", "i"),
                   ("deltas-gzip", "u"), ("deltas-gzip", "s"))
        answers = queries(*("with v as (select distinct %(c)s as v from %(f)s where %(c)s is not null"
                            " order by 1 limit 30), e as (select min(%(c)s) as lo, max(%(c)s) as hi"
                            " from (select * from %(f)s offset 0)) select (select count(*) from v),"
                            " (select count(*) from v where v in (select %(c)s from %(f)s where"
                            " %(c)s = v)), (select min(%(c)s) = (select lo from e) from %(f)s),"
                            " (select max(%(c)s) = (select hi from e) from %(f)s)"
                            % {"c": column,
                               "f": "read_parquet('%s')" % self.path(name + ".parquet")}
                            for name, column in columns))
        for (name, column), answer in zip(columns, answers, strict=True):
            with self.subTest(name=name, column=column):
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


class LargeFile(unittest.TestCase):
    """One file of row groups of 32 MiB, of 10 GiB in the long run: what is held does not grow with
    it, but for a footer of some hundred bytes a row group and column."""

    MIB = sized(100, 300, 10 * 1024)
    # A row group as it fills and, compressed, on its way out; 16 MiB of spare pages and 16 MiB of
    # blocks; the program. It is the sum of bounds, none of which knows the size of the file.
    HELD_MAX = (2 * 32 + 16 + 16 + 32) << 20
    FOOTER_MAX = 300            # of each column of a group

    def test_memory_is_bounded_however_large_the_file(self):
        subprocess.run([os.path.join(NODE, "install")], check=True)
        with tempfile.TemporaryDirectory(prefix="hydrant-large-", dir=os.environ.get("TMPDIR")) \
                as directory:
            made = subprocess.run([os.path.join(os.path.dirname(FILES), "parquet_large"),
                                   directory, str(self.MIB)], check=True, stdout=subprocess.PIPE)
            rows, size, footer, held = map(int, made.stdout.split())
            path = os.path.join(directory, "large.parquet")
            self.assertEqual(os.path.getsize(path), size)
            self.assertGreater(size, self.MIB << 20)
            groups, counted = query("select count(distinct row_group_id), sum(num_values) from"
                                    " parquet_metadata('%s') where path_in_schema = 'id'" % path)[0]
            self.assertEqual(int(counted), rows)
            self.assertGreaterEqual(int(groups), size // (40 << 20))
            count, total, low, high = query("select count(*), sum(id), min(t)::varchar,"
                                            " max(length(\"user\")) from '%s'" % path)[0]
            self.assertEqual((int(count), int(total)), (rows, rows * (rows - 1) // 2))
            self.assertEqual(int(high), len("user-4999"))
            self.assertTrue(low.startswith("2023-11-14"))
            self.assertLess(footer, int(groups) * 5 * self.FOOTER_MAX + 1000)
            if "asan" not in HYDRANT:       # the sanitizer's memory is not ours
                self.assertLess(held, self.HELD_MAX)
            print("%d rows, %d bytes, %s row groups, footer of %d bytes, %.1f MiB held at most"
                  % (rows, size, groups, footer, held / 2**20))


if __name__ == "__main__":
    unittest.main()
