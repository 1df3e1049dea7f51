// Signs a user in with openid-client, and calls tools, as a plain OAuth client that an
// administrator has registered as CLIENT_ID, with CLIENT_SECRET or a CLIENT_KEY for
// CLIENT_ALGORITHM if it has one, or that has a document at CLIENT_METADATA_URL. Otherwise it
// registers itself.
//
// Prints the address that the user has to visit, and reads from standard input the address
// to which the user was sent back, and the steps.
//
// Usage: openid_client.mjs URL

import assert from "node:assert/strict";
import * as client from "openid-client";
import { algorithms } from "./signing_algorithms.mjs";
import { follow, line } from "./steps.mjs";

const resource = process.argv[2];
const { CLIENT_METADATA_URL, CLIENT_ID = CLIENT_METADATA_URL } = process.env;
const { CLIENT_SECRET, CLIENT_KEY, CLIENT_ALGORITHM } = process.env;

const issuer = new URL(resource.replace(/\/mcp$/, ""));
const byKey = async ({ kid, ...jwk }) => {
  const algorithm = algorithms[CLIENT_ALGORITHM];
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  return client.PrivateKeyJwt({ key, kid });
};
const bySecret = CLIENT_SECRET ? client.ClientSecretBasic(CLIENT_SECRET) : client.None();
const authentication = CLIENT_KEY ? await byKey(JSON.parse(CLIENT_KEY)) : bySecret;
const metadata = {
  client_name: "Desk",
  redirect_uris: ["http://127.0.0.1:33418/callback"],
  token_endpoint_auth_method: "none",
};
const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };
const config = CLIENT_ID
  ? await client.discovery(issuer, CLIENT_ID, undefined, authentication, options)
  : await client.dynamicClientRegistration(issuer, metadata, authentication, options);

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

let tokens;

/** Calls a tool, and returns the status of the answer. */
const use = async (tool) => {
  const params = { name: tool, arguments: {} };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  const headers = new Headers({
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2025-11-25",
  });
  const url = new URL(resource);
  try {
    const how = [url, "POST", body, headers];
    return (await client.fetchProtectedResource(config, tokens.access_token, ...how)).status;
  } catch (error) {
    return error.status;
  }
};

const call = async (tool) => {
  if (tokens && (await use(tool)) === 401) {
    tokens = await client.refreshTokenGrant(config, tokens.refresh_token).catch(({ error }) => {
      assert.equal(error, "invalid_grant");
    });
  }
  tokens ??= await signIn();
  assert.equal(await use(tool), 200);
};

await follow({
  call,
  refreshToken: () => tokens?.refresh_token,
  expire: () => (tokens = { ...tokens, access_token: "expired" }),
});
