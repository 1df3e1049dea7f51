// Signs a user in with openid-client, as a plain OAuth client that an administrator has
// registered as CLIENT_ID, with CLIENT_SECRET or a CLIENT_KEY for CLIENT_ALGORITHM if it has
// one.
//
// Prints the address that the user has to visit, and reads from standard input the address
// to which the user was sent back. After a refresh it prints "refreshed" and waits for a
// line; its access was taken away meanwhile, so it asks the user again.
//
// Usage: openid_client.mjs URL

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import * as client from "openid-client";
import { algorithms } from "./signing_algorithms.mjs";

const resource = process.argv[2];
const { CLIENT_ID, CLIENT_SECRET, CLIENT_KEY, CLIENT_ALGORITHM } = process.env;
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => (await input.next()).value;

const issuer = new URL(resource.replace(/\/mcp$/, ""));
const byKey = async ({ kid, ...jwk }) => {
  const algorithm = algorithms[CLIENT_ALGORITHM];
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  return client.PrivateKeyJwt({ key, kid });
};
const bySecret = CLIENT_SECRET ? client.ClientSecretBasic(CLIENT_SECRET) : client.None();
const authentication = CLIENT_KEY ? await byKey(JSON.parse(CLIENT_KEY)) : bySecret;
const config = await client.discovery(issuer, CLIENT_ID, undefined, authentication, {
  algorithm: "oauth2",
  execute: [client.allowInsecureRequests],
});

const signIn = async () => {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: "http://127.0.0.1:33418/callback",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource,
    state,
  });
  console.log(String(address));
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  return await client.authorizationCodeGrant(config, new URL(await line()), checks);
};

const use = async ({ access_token }) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
  const headers = new Headers({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
  });
  const url = new URL(resource);
  const answer = await client.fetchProtectedResource(config, access_token, url, "POST", body, headers);
  assert.equal(answer.status, 200);
};

const first = await signIn();
await use(first);
const second = await client.refreshTokenGrant(config, first.refresh_token);
assert.notEqual(second.refresh_token, first.refresh_token);
await use(second);
console.log("refreshed");
await line();
await assert.rejects(client.refreshTokenGrant(config, second.refresh_token), {
  error: "invalid_grant",
});
await assert.rejects(use(second), { status: 401 });
await use(await signIn());
console.log("ok");
process.exit(0);
