/*
 * duckdb_sql: DuckDB on one thread for formats_bench: runs the statements that come as lines, and
 * answers each with a line: the seconds it took, or "error: " and why.
 *
 * Usage: node duckdb_sql.mjs (with tests/node installed)
 */
import process from 'node:process';
import readline from 'node:readline';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../tests/node/', import.meta.url));
const { DuckDBInstance } = require('@duckdb/node-api');
const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();

for await (const line of readline.createInterface({ input: process.stdin })) {
    const start = process.hrtime.bigint();

    try {
        await connection.run(line);
        console.log(Number(process.hrtime.bigint() - start) / 1e9);
    } catch (error) {
        console.log('error: ' + String(error.message).replaceAll('\n', ' '));
    }
}
