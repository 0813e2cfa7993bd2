/*
 * verify: prints the rows of a file as an independent reader understands them, one JSON object a
 * line, in a form in which equal values are equal text:
 *
 *   integers             all digits, of 64 bits too
 *   floating point       as JavaScript writes numbers, but "NaN", "Infinity", "-Infinity", "-0"
 *   timestamps           microseconds since 1970
 *   strings              JSON strings with no more escapes than needed
 *   bytes                "hex:" and hexadecimal digits
 *   missing values       null
 *
 * Usage: node verify.mjs [-e] READER FILE...
 *
 *   -e          an empty line behind the rows of each file
 *
 *   duckdb      Parquet
 *   hyparquet   Parquet
 *   csv         CSV with a header row, by DuckDB; every value is a string, an empty one null
 *   json        JSON lines; keys stay in their order, numbers with a point or an exponent are
 *               floating point, nested values stay nested
 */
import { once } from 'node:events';
import fs from 'node:fs';
import process from 'node:process';

/* A number that stands in the output as it is. */
class Digits {
    constructor(text) {
        this.text = text;
    }
}

function floating(value) {
    if (Number.isFinite(value) && !Object.is(value, -0))
        return new Digits(String(value));
    return Object.is(value, -0) ? '-0' : String(value);
}

function hex(bytes) {
    return 'hex:' + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function text(value) {
    if (value === null || value === undefined)
        return 'null';
    if (value instanceof Digits)
        return value.text;
    if (Array.isArray(value))
        return '[' + value.map(text).join(',') + ']';
    if (typeof value === 'object') {
        return '{' + [...value].map(([k, v]) => JSON.stringify(k) + ':' + text(v)).join(',') + '}';
    }
    if (typeof value === 'bigint')
        return String(value);
    return JSON.stringify(value);
}

let waiting = [];

/* `keys` as keysOf() makes them. */
function print(keys, values) {
    let line = '{';

    for (let i = 0; i < keys.length; i++)
        line += (i > 0 ? ',' : '') + keys[i] + text(values[i]);
    waiting.push(line + '}');
}

function keysOf(names) {
    return names.map((name) => JSON.stringify(name) + ':');
}

/* To be awaited now and then: what was printed is kept until then. */
async function flush() {
    const lines = waiting;

    waiting = [];
    if (lines.length > 0 && !process.stdout.write(lines.join('\n') + '\n'))
        await once(process.stdout, 'drain');
}

/* --- DuckDB ----------------------------------------------------------------------------------- */

async function duckdbRows(query) {
    const duckdb = await import('@duckdb/node-api');
    const types = duckdb.DuckDBTypeId;
    const instance = await duckdb.DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const result = await connection.stream(query);
    const names = result.columnNames();
    const keys = keysOf(names);
    const of = {
        [types.FLOAT]: floating, [types.DOUBLE]: floating, [types.INTEGER]: BigInt,
        [types.TIMESTAMP]: (v) => v.micros, [types.TIMESTAMP_TZ]: (v) => v.micros,
        [types.BLOB]: (v) => hex(v.bytes),
    };
    const convert = result.columnTypes().map((type) => of[type.typeId] ?? ((v) => v));

    for (;;) {
        const chunk = await result.fetchChunk();

        if (!chunk || chunk.rowCount === 0)
            break;
        const columns = names.map((_, i) => chunk.getColumnValues(i));

        for (let row = 0; row < chunk.rowCount; row++)
            print(keys, columns.map((c, i) => c[row] === null ? null : convert[i](c[row])));
        await flush();
    }
    connection.closeSync();
}

function quoted(path) {
    return "'" + path.replaceAll("'", "''") + "'";
}

/* --- hyparquet -------------------------------------------------------------------------------- */

async function hyparquetRows(path) {
    const { asyncBufferFromFile, parquetMetadataAsync, parquetRead } = await import('hyparquet');
    const { compressors } = await import('hyparquet-compressors');
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const elements = metadata.schema.slice(1);
    const keys = keysOf(elements.map((e) => e.name));
    const convert = elements.map((e) => {
        if (e.type === 'FLOAT' || e.type === 'DOUBLE')
            return floating;
        if (e.converted_type === 'UINT_64')         /* it leaves some of them signed */
            return (v) => BigInt.asUintN(64, BigInt(v));
        if (e.type === 'BYTE_ARRAY' && e.converted_type !== 'UTF8')
            return hex;
        return typeof e.type === 'string' && e.type.startsWith('INT') ? BigInt : (v) => v;
    });
    let rowStart = 0;

    for (const group of metadata.row_groups) {
        const rowEnd = rowStart + Number(group.num_rows);
        let rows = [];

        await parquetRead({
            file, metadata, compressors, rowStart, rowEnd, utf8: false, rowFormat: 'array',
            parsers: { timestampFromMicroseconds: (v) => v },
            onComplete: (all) => { rows = all; },
        });
        if (rows.length !== rowEnd - rowStart)
            throw new Error(`${rows.length} rows of ${rowEnd - rowStart} in a group`);
        for (const row of rows) {
            print(keys, keys.map((_, i) => row[i] === null || row[i] === undefined
                ? null : convert[i](row[i])));
        }
        await flush();
        rowStart = rowEnd;
    }
    if (BigInt(rowStart) !== metadata.num_rows)
        throw new Error(`${rowStart} rows in groups, ${metadata.num_rows} in all`);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* One value; integers keep all their digits, which JSON.parse would not. */
function jsonValue(line) {
    const token = /\s*(?:([{}[\],:]|true|false|null)|("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*))/y;

    function next() {
        const match = token.exec(line);

        if (!match)
            throw new Error(`no JSON at ${token.lastIndex}: ${line.slice(0, 200)}`);
        return match;
    }

    function items(end, item) {
        const from = token.lastIndex;
        const all = [];

        if (next()[1] === end)
            return all;
        token.lastIndex = from;
        for (;;) {
            all.push(item());
            if (next()[1] === end)
                return all;
        }
    }

    function member() {
        const key = JSON.parse(next()[2]);

        if (next()[1] !== ':')
            throw new Error(`no colon at ${token.lastIndex}: ${line.slice(0, 200)}`);
        return [key, value()];
    }

    function value() {
        const [, mark, string, number] = next();

        if (string !== undefined)
            return JSON.parse(string);
        if (number !== undefined)
            return /[.eE]/.test(number) ? floating(JSON.parse(number)) : BigInt(number);
        if (mark === '{')
            return new Map(items('}', member));
        if (mark === '[')
            return items(']', value);
        return { true: true, false: false, null: null }[mark];
    }

    return value();
}

function jsonRows(path) {
    for (const line of fs.readFileSync(path, 'utf8').split('\n')) {
        if (line === '')
            continue;
        const object = jsonValue(line);

        print(keysOf([...object.keys()]), [...object.values()]);
    }
}

/* ---------------------------------------------------------------------------------------------- */

const readers = {
    duckdb: (path) => duckdbRows(`select * from read_parquet(${quoted(path)},`
        + ' hive_partitioning = false)'),
    csv: (path) => duckdbRows(`select * from read_csv(${quoted(path)}, header = true,`
        + ' all_varchar = true, hive_partitioning = false, delim = \',\', quote = \'"\','
        + ' escape = \'"\')'),
    hyparquet: hyparquetRows,
    json: jsonRows,
};
const ends = process.argv[2] === '-e';
const [reader, ...paths] = process.argv.slice(ends ? 3 : 2);

if (!Object.hasOwn(readers, reader ?? '') || paths.length === 0) {
    console.error('usage: node verify.mjs [-e] duckdb|hyparquet|csv|json FILE...');
    process.exit(2);
}
for (const path of paths) {
    try {
        await readers[reader](path);
        if (ends)
            waiting.push('');
    } catch (error) {
        error.message = `${path}: ${error.message}`;
        throw error;
    }
}
await flush();
