// Registers with the TypeScript SDK, version 1 or 2, and calls a tool for a user who signs
// in.
//
// Prints the address that the user has to visit, and reads from standard input the address
// to which the user was sent back. After a refresh it prints "refreshed" and waits for a
// line; its access was taken away meanwhile, so it asks the user again.
//
// Usage: typescript_sign_in.mjs (1|2) URL

import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [version, server] = process.argv.slice(2);
const sdk =
  version === "1"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
      }
    : await import("@modelcontextprotocol/client");

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => (await input.next()).value;

const kept = {};
const provider = {
  redirectUrl: "http://127.0.0.1:33418/callback",
  clientMetadata: {
    client_name: "Desk",
    redirect_uris: ["http://127.0.0.1:33418/callback"],
    token_endpoint_auth_method: "none",
  },
  state: () => crypto.randomUUID(),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  redirectToAuthorization: (url) => console.log(String(url)),
  invalidateCredentials: (scope) => {
    if (scope === "all" || scope === "tokens") delete kept.tokens;
    if (scope === "all" || scope === "client") delete kept.client;
  },
};

const transport = () =>
  new sdk.StreamableHTTPClientTransport(new URL(server), { authProvider: provider });

/** Runs what needs a token, after the user has signed in if that is necessary. */
const signedIn = async (run) => {
  const first = transport();
  try {
    return await run(first);
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    const answer = new URL(await line()).searchParams;
    await first.finishAuth(version === "1" ? answer.get("code") : answer);
  }
  return await run(transport());
};

const call = async (over) => {
  const client = new sdk.Client({ name: "test", version: "1" });
  await client.connect(over);
  const name = "user-auth_get_capabilities";
  const result = await client.callTool({ name, arguments: {} });
  assert.ok(!result.isError, JSON.stringify(result));
  await client.close();
};

await signedIn(call);
const before = kept.tokens;
// The server refuses a token that is not its own, as it does with one that has expired.
kept.tokens = { ...before, access_token: "expired" };
await signedIn(call);
assert.notEqual(kept.tokens.refresh_token, before.refresh_token);
console.log("refreshed");
await line();
await signedIn(call);
console.log("ok");
process.exit(0);
