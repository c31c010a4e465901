// Holds wait.mjs to the contract's test vectors: node vectors.mjs ../../events/vectors.json
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { compare, judge, token } from "./wait.mjs";

const vectors = JSON.parse(readFileSync(process.argv[2]));
for (const { a, b, order } of vectors.versions) assert.equal(Math.sign(compare(a, b)), order, `${a} to ${b}`);
for (const { environment, database, tenant, state } of vectors.subjects)
  assert.equal(["schema.state.v1", ...[environment, database, tenant].filter((n) => n).map(token)].join("."), state);
for (const { reason, state, required, answer } of vectors.verdicts) assert.equal(judge(state, required), answer, reason);
