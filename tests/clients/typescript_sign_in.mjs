// Signs a user in with the TypeScript SDK, version 1 or 2, and calls tools.
//
// It registers itself, unless there is a CLIENT_ID (and CLIENT_SECRET) from an administrator or
// the CLIENT_METADATA_URL of a document about it.
//
// Prints the address that the user has to visit, and reads from standard input the address to
// which the user was sent back, and the steps.
//
// Usage: typescript_sign_in.mjs (1|2) URL

import assert from "node:assert/strict";
import { follow, line } from "./steps.mjs";

const [version, server] = process.argv.slice(2);
const sdk =
  version === "1"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
      }
    : await import("@modelcontextprotocol/client");

const { CLIENT_ID, CLIENT_SECRET, CLIENT_METADATA_URL } = process.env;
const kept = {};
if (CLIENT_ID) kept.client = { client_id: CLIENT_ID, client_secret: CLIENT_SECRET };
const provider = {
  redirectUrl: "http://127.0.0.1:33418/callback",
  clientMetadataUrl: CLIENT_METADATA_URL,
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

const call = (tool) => async (over) => {
  const client = new sdk.Client({ name: "test", version: "1" });
  await client.connect(over);
  const result = await client.callTool({ name: tool, arguments: {} });
  assert.ok(!result.isError, JSON.stringify(result));
  await client.close();
};

await follow({
  call: (tool) => signedIn(call(tool)),
  refreshToken: () => kept.tokens?.refresh_token,
  // The server refuses a token that is not its own, as it does with one that has expired.
  expire: () => (kept.tokens = { ...kept.tokens, access_token: "expired" }),
});
