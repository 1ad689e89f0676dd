// npm's `oidc-provider` as an authorization server, and a receiver that takes only tokens that it issued.
// usage: node server.mjs KEY SEEN (files that it writes: a client's private key, and what came)
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync, appendFileSync } from "node:fs";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [keyFile, seenFile] = process.argv.slice(2);
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }));

const client = (client_id, token_endpoint_auth_method, more) => ({
  client_id,
  token_endpoint_auth_method,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  ...more,
});
const secret = { client_secret: "a secret, long enough for HS256: +%&=" };
const jwk = { ...publicKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "ES256" };

const issuer = createServer();
await new Promise((done) => issuer.listen(0, "127.0.0.1", done));
const provider = new Provider(`http://127.0.0.1:${issuer.address().port}`, {
  clients: [
    client("basic", "client_secret_basic", secret),
    client("body", "client_secret_post", secret),
    client("secret-jwt", "client_secret_jwt", { ...secret, token_endpoint_auth_signing_alg: "HS256" }),
    client("key-jwt", "private_key_jwt", { jwks: { keys: [jwk] }, token_endpoint_auth_signing_alg: "ES256" }),
  ],
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  scopes: ["events"],
  ttl: { ClientCredentials: 3 },
});
issuer.on("request", provider.callback());

const receiver = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const value = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  // The server's own word on the token.
  const token = await provider.ClientCredentials.find(value);
  if (!token || token.isExpired || token.clientId !== request.url.slice(1) || token.scope !== "events") {
    response.writeHead(401).end();
    return;
  }
  const events = JSON.parse(Buffer.concat(chunks).toString());
  const lines = events.map((event) => JSON.stringify([token.clientId, event.id, token.jti]));
  appendFileSync(seenFile, lines.map((line) => `${line}\n`).join(""));
  response.writeHead(200).end();
});
await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
console.error(`ports ${issuer.address().port} ${receiver.address().port}`);
