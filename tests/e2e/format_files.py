"""format_files: what is in delivered files, read by programs and libraries that are not Hydrant's.

A row is a list of [column, value] in the order of the file. Snappy's framing is read here: no tool
for it is packaged.
"""
import base64
import csv
import gzip
import io
import json
import os
import subprocess

from harness import ROOT, batches

NODE = os.path.join(ROOT, "tests", "node")


def node_install():
    subprocess.run([os.path.join(NODE, "install")], check=True)


def verify(reader, paths):
    """Rows of each file, as tests/node/verify.mjs prints them."""
    if not paths:
        return []
    out = subprocess.run(["node", os.path.join(NODE, "verify.mjs"), "-e", reader, *paths],
                         check=True, stdout=subprocess.PIPE).stdout
    files = [[]]
    for line in out.split(b"\n")[:-1]:
        if line:
            files[-1].append([list(pair) for pair in json.loads(line, object_pairs_hook=list)])
        else:
            files.append([])
    if len(files) != len(paths) + 1 or files[-1]:
        raise AssertionError("rows of %d files, not %d" % (len(files) - 1, len(paths)))
    return files[:-1]


def query(sql):
    """Rows of DuckDB's answer."""
    program = """
        import duckdb from '@duckdb/node-api';
        const c = await (await duckdb.DuckDBInstance.create(':memory:')).connect();
        const rows = (await c.runAndReadAll(process.argv[1])).getRowsJson();
        console.log(JSON.stringify(rows));"""
    out = subprocess.run(["node", "--input-type=module", "-e", program, sql], check=True, cwd=NODE,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def crc32c_masked(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    crc ^= 0xffffffff
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def snappy_block(data):
    """One raw block of snappy."""
    length = shift = at = 0
    while True:
        byte, at = data[at], at + 1
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                count = size - 59
                size, at = int.from_bytes(data[at:at + count], "little"), at + count
            out += data[at:at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        else:
            count = 2 if tag & 3 == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + count], "little")
            at += count
        if not 0 < offset <= len(out):
            raise AssertionError("snappy: offset %d at %d" % (offset, len(out)))
        for _ in range(size):
            out.append(out[-offset])
    if len(out) != length:
        raise AssertionError("snappy: %d bytes, not %d" % (len(out), length))
    return bytes(out)


def snappy_frames(data):
    """A file in snappy's framing format."""
    if not data.startswith(b"\xff\x06\x00\x00sNaPpY"):
        raise AssertionError("snappy: no stream identifier")
    out, at = b"", 0
    while at < len(data):
        kind, size = data[at], int.from_bytes(data[at + 1:at + 4], "little")
        body, at = data[at + 4:at + 4 + size], at + 4 + size
        if kind == 0xff:
            continue
        if kind > 1 or len(body) != size:
            raise AssertionError("snappy: chunk %d of %d bytes" % (kind, len(body)))
        plain = body[4:] if kind == 1 else snappy_block(body[4:])
        if crc32c_masked(plain) != int.from_bytes(body[:4], "little"):
            raise AssertionError("snappy: checksum")
        out += plain
    return out


def tool(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def unpacked(path):
    """The bytes of a file, without its compression."""
    kind = os.path.basename(path).rpartition(".")[2]
    if kind == "gz":
        with gzip.open(path) as file:
            return file.read()
    if kind == "zst":
        return tool("zstd", "-dcq", path)
    if kind == "lz4":
        return tool("lz4", "-dcq", path)
    with open(path, "rb") as file:
        data = file.read()
    return snappy_frames(data) if kind == "sz" else data


def csv_rows(data):
    """Rows of one file; every value is text."""
    header, *rows = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
    for row in rows:
        if len(row) != len(header):
            raise AssertionError("%d fields under %d columns: %r" % (len(row), len(header), row))
    return [[[name, value] for name, value in zip(header, row)] for row in rows]


class Pairs(list):
    """An object's members; like this nothing is lost of repeated keys."""


def json_rows(data):
    """Rows of one file; objects within are dicts."""
    if data and not data.endswith(b"\n"):
        raise AssertionError("no line end behind the last object")

    def plain(value):
        if isinstance(value, Pairs):
            return {name: plain(inner) for name, inner in value}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    def pairs(members):
        return Pairs([name, value] for name, value in members)

    return [[[name, plain(value)] for name, value in json.loads(line, object_pairs_hook=pairs)]
            for line in data.split(b"\n")[:-1]]


def files_of(folder, reader="duckdb"):
    """(name, rows) of each file of a folder, in batch order; without the error output."""
    names = [name for name in sorted(batches(folder), key=os.path.basename)
             if not name.startswith("errors/")]
    parquet = [name for name in names if name.endswith(".parquet")]
    rows = dict(zip(parquet, verify(reader, [os.path.join(folder, name) for name in parquet])))
    for name in names:
        if name not in rows:
            read = csv_rows if ".csv" in os.path.basename(name) else json_rows
            rows[name] = read(unpacked(os.path.join(folder, name)))
    return [(name, rows[name]) for name in names]


def rows_of(folder, reader="duckdb"):
    return [row for _, rows in files_of(folder, reader) for row in rows]


def rows_by_folder(folder, reader="duckdb"):
    """Rows of each partition, in order."""
    found = {}
    for name, rows in files_of(folder, reader):
        found.setdefault(os.path.dirname(name), []).extend(rows)
    return found


def letters_of(folder, kind):
    """(record, event) of each dead letter of a kind."""
    found = []
    place = os.path.join(folder, "errors", kind)
    for name in batches(place) if os.path.isdir(place) else ():
        for row in json_rows(unpacked(os.path.join(place, name))):
            found.append((dict(row), base64.b64decode(dict(row)["rawData"], validate=True)))
    return found
