// A receiver of webhooks: verifies them, does its work once for each event, and refuses what it can't use.
//
//   npm install standardwebhooks cloudevents
//   SECRET=whsec_… node receiver.mjs 9000
//
// The sender puts CloudEvents in a JSON array, signed after Standard Webhooks (`mode = "batch"`).
import { createServer } from "node:http";
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.SECRET);
const LONGEST_BODY = 8 << 20;

// The last events that were worked on. A service with a database has a table of `source` and `id` instead, written in
// the transaction of the work itself: then an event that comes again after a crash is known, too.
const seen = new Set();
const name = (event) => JSON.stringify([event.source, event.id]);

function remember(event) {
  seen.add(name(event));
  if (seen.size > 100_000) seen.delete(seen.values().next().value);
}

// Yours. An exception has the whole batch come again; `false` refuses this event, and the sender sets it aside.
async function work(event) {
  if (!event.type.startsWith("com.github.")) return false;
  console.log(event.type, event.id);
  return true;
}

// Batches are worked on one after the other, so that two of them can't both have the same event for new.
let turn = Promise.resolve();
function inTurn(job) {
  const done = turn.then(job);
  turn = done.catch(() => {});
  return done;
}

// The answer to a body that was verified.
async function take(headers, body) {
  const refused = [];
  for (const event of [HTTP.toEvent({ headers, body })].flat()) {
    if (seen.has(name(event))) continue;
    if (await work(event)) remember(event);
    else refused.push({ itemIdentifier: event.id });
  }
  return { batchItemFailures: refused };
}

// The text as it came: a signature is over this, not over JSON that was read and written again.
async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LONGEST_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

async function answer(request) {
  const body = await read(request);
  if (body === undefined) return [413, {}];
  try {
    webhook.verify(body, request.headers);
  } catch {
    // The sender holds the hook and keeps its events.
    return [401, {}];
  }
  try {
    return [200, await inTurn(() => take(request.headers, body))];
  } catch (error) {
    console.error("will come again:", error);
    return [503, {}];
  }
}

const server = createServer(async (request, response) => {
  const [status, value] = await answer(request).catch(() => [400, {}]);
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.error("port", server.address().port));
