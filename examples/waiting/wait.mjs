// Waits for a schema with the stock client of npm, by docs/contract.md: node wait.mjs production orders 2
import { connect, Empty } from "nats";

// compare gives the order of versions: negative, 0 or positive as a is older than, the same as or newer than b.
export function compare(a, b) {
  const runs = (v) => v.replace(/(\.0+)+$/, "").match(/[0-9]+|[^0-9]+/g) ?? [];
  const [x, y] = [runs(a), runs(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const numbers = /^[0-9]/.test(x[i]) && /^[0-9]/.test(y[i]);
    const order = numbers ? Number(BigInt(x[i]) > BigInt(y[i])) - Number(BigInt(x[i]) < BigInt(y[i])) : Buffer.compare(Buffer.from(x[i]), Buffer.from(y[i]));
    if (order !== 0) return order;
  }
  return x.length - y.length;
}

// token makes one subject token of a name.
export const token = (name) =>
  [...Buffer.from(name)].map((c) => (/[A-Za-z0-9_-]/.test(String.fromCharCode(c)) ? String.fromCharCode(c) : "%" + c.toString(16).toUpperCase().padStart(2, "0"))).join("") || "%";

// judge answers whether a state gives a reader what it requires; the empty version asks for any.
export function judge({ ready, lastAttempt }, required) {
  if (ready && required && compare(required, ready.minCompatible ?? "") < 0) return "incompatible";
  if (ready && compare(ready.version, required) >= 0) return "ready";
  if (lastAttempt?.outcome === "failed" && compare(lastAttempt.version, required) >= 0) return "failed";
  return "not ready";
}

async function wait(environment, database, version = "") {
  const subject = `v1.${token(environment)}.${token(database)}`;
  const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1, waitOnFirstConnect: true });
  let last = { sequence: 0, stored: "" };
  let done;
  const end = new Promise((resolve) => (done = resolve));
  const look = (m) => {
    const sequence = Number(m.headers?.get("Nats-Sequence") || 0);
    const stored = m.headers?.get("Nats-Time-Stamp") ?? "";
    if (m.headers?.values("Nats-Subject").join() !== `schema.state.${subject}`) return console.error(`${environment}/${database}: nothing is proven yet`);
    if (!sequence || (sequence <= last.sequence && Date.parse(stored) <= Date.parse(last.stored))) return;
    last = { sequence, stored };
    const state = m.json();
    if (state.environment !== environment || state.database !== database) return;
    const answer = judge(state, version);
    console.error(`${environment}/${database} is at ${state.ready?.version ?? "no version"}: ${answer}`);
    if (answer === "ready") done(0);
    if (answer === "incompatible") done(78);
    if (answer === "failed") done(state.lastAttempt.error?.permanent ? 65 : 75);
  };
  nc.subscribe(`schema.live.${subject}`, { callback: (err, m) => err || look(m) });
  const read = async () => {
    try {
      await nc.flush();
      look(await nc.request(`$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.${subject}`, Empty, { timeout: 3000 }));
    } catch (err) {
      console.error(`nats: ${err.message}`); // no stream, or nobody who answers: both may pass
    }
  };
  (async () => {
    for await (const s of nc.status()) if (s.type === "reconnect") read();
  })();
  for (read(); ; read()) {
    const code = await Promise.race([end, new Promise((r) => setTimeout(r, 10000 + Math.random() * 5000))]);
    if (code !== undefined) process.exit(code);
  }
}

if (process.argv[1] === import.meta.filename) await wait(...process.argv.slice(2));
