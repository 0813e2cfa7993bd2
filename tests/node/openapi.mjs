/*
 * openapi: is a file a valid OpenAPI document? Exits 1 and says what is wrong when it is not.
 *
 * Usage: node openapi.mjs FILE
 */
import fs from 'node:fs';
import process from 'node:process';
import { Validator } from '@seriousme/openapi-schema-validator';

const validator = new Validator();
const api = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const result = await validator.validate(api);

if (!result.valid) {
    console.error(JSON.stringify(result.errors, null, 2));
    process.exit(1);
}
validator.resolveRefs();        /* throws where one leads nowhere */
console.log(`OpenAPI ${validator.version}: ${Object.keys(api.paths).length} paths`);
