// The steps of tour.json through Stripe's Node SDK, unmodified, as test_every_operation.py walks
// them through the Python SDK: addresses, key and steps are JSON on standard input.
import Stripe from "stripe";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const { api_base, secret_key, steps, webhooks, follows_ms } = JSON.parse(readFileSync(0, "utf8"));
const POLL_MS = 200;
const { hostname, port } = new URL(api_base);
const stripe = new Stripe(secret_key, {
  host: hostname,
  port,
  protocol: "http",
  maxNetworkRetries: 2,
  telemetry: false,
  timeout: 30_000,
});
const known = { webhooks };

const at = (root, path) => path.split(".").reduce((value, name) => value?.[name], root);
const filled = (value) => {
  if (typeof value === "string") {
    return value.replace(/\$([a-z_]+(?:\.[a-z_]+)*)/g, (_, path) => at(known, path));
  }
  if (Array.isArray(value)) return value.map(filled);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item)]));
};
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

function call(step) {
  const args = filled(step.with ?? []);
  if (step.own) {
    const [method, path] = filled(step.own).split(" ");
    return stripe.rawRequest(method, path, args[0]);
  }
  const names = (step.node ?? step.call).split(".").map(camel);
  const method = names.pop();
  return at(stripe, names.join("."))[method](...args);
}

// Reads until there is something: some lists, searches and webhooks follow a moment later.
async function eventually(read, what) {
  const until = Date.now() + follows_ms;
  for (;;) {
    const found = await read();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`no ${what} in time`);
    await pause(POLL_MS);
  }
}

async function find(step) {
  const wanted = filled(step.finds);
  const pages = step.own ? (await call(step)).data : call(step);
  for await (const item of pages) {
    if (wanted === "" || item.id === wanted) return item;
  }
  return undefined;
}

async function take(step) {
  if (step.finds !== undefined) return eventually(() => find(step), "such object");
  if (!step.refused) return call(step);
  try {
    await call(step);
  } catch (error) {
    const { code, decline_code, statusCode: status } = error;
    return { code, decline_code, status };
  }
  throw new Error("was not refused");
}

async function verify(secret) {
  const received = await eventually(async () => {
    const found = await (await fetch(webhooks)).json();
    return found.length > 0 ? found : undefined;
  }, "webhook");
  for (const { body, signature } of received) {
    stripe.webhooks.constructEvent(body, signature, secret);
  }
}

for (const step of steps) {
  try {
    if (step.verifies) {
      await verify(filled(step.verifies));
      continue;
    }
    const result = await take(step);
    for (const [path, value] of Object.entries(step.expect ?? step.refused ?? {})) {
      const found = at(result, path);
      if (found !== value) throw new Error(`${path} is ${JSON.stringify(found)}`);
    }
    if (step.as) known[step.as] = result;
  } catch (error) {
    throw new Error(`${JSON.stringify(step)}: ${error.message}`);
  }
}
