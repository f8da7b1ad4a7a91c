// SPDX-License-Identifier: Apache-2.0
// Makes the calls of cases of kv.json in workerd, and tells what each gives. worker.py does the same here.

function given(value, now) {
  if (Array.isArray(value)) return value.map((item) => given(item, now));
  if (value === null || typeof value !== "object") return value;
  if ("$now" in value) return now + value.$now;
  if ("$repeat" in value) return value.$repeat[0].repeat(value.$repeat[1]);
  if ("$keys" in value) return Array.from({ length: value.$keys }, (_, n) => `k${n}`);
  if ("$bytes" in value) return new TextEncoder().encode(given(value.$bytes, now));
  if ("$buffer" in value) return new TextEncoder().encode(value.$buffer).buffer;
  if ("$stream" in value) return new Response(given(value.$stream, now)).body;
  if ("$undefined" in value) return undefined;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, given(item, now)]));
}

// Numbers that depend on the time are told by how far they are from now, by whole minutes.
const since = (number, now) => ({ $now: Math.round((number - now) / 60) * 60 });

async function told(value, now, name) {
  if (value === undefined) return { $undefined: true };
  if (name === "expiration") return since(value, now);
  if (value instanceof ArrayBuffer) return { $buffer: new TextDecoder().decode(value) };
  if (value instanceof ReadableStream) return { $stream: await new Response(value).text() };
  if (value instanceof Map) {
    const pairs = [];
    for (const [key, item] of value) pairs.push([key, await told(item, now)]);
    return { $map: pairs };
  }
  if (Array.isArray(value)) return Promise.all(value.map((item) => told(item, now)));
  if (value === null || typeof value !== "object") return value;
  const made = {};
  for (const key of Object.keys(value).sort()) {
    // A cursor is whatever it is: that there is one is what counts.
    made[key] = key === "cursor" ? { $cursor: true } : await told(value[key], now, key);
  }
  return made;
}

async function make(kv, call, now, last) {
  try {
    const [method, ...rest] = call;
    const args = given(rest, now);
    for (const arg of args) if (arg?.cursor === "$last") arg.cursor = last.cursor;
    const value = await kv[method](...args);
    if (value?.cursor) last.cursor = value.cursor;
    return await told(value, now);
  } catch (error) {
    // How JSON is wrong is said in each engine's own words.
    if (error.name === "SyntaxError") return { $error: [error.name] };
    return { $error: [error.name, error.message.replace(/\b\d{10}\b/, (n) => `NOW+${since(+n, now).$now}`)] };
  }
}

export default {
  async fetch(request, { KV }) {
    const results = [];
    for (const { calls } of await request.json()) {
      for (const { name } of (await KV.list()).keys) await KV.delete(name);
      const last = {}, now = Math.floor(Date.now() / 1000), gives = [];
      for (const { call } of calls) gives.push(await make(KV, call, now, last));
      results.push(gives);
    }
    return Response.json(results);
  },
};
