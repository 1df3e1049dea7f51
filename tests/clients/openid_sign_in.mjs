// Signs a user in with openid-client, for a website that only wants to know who it is and
// that an administrator has registered as CLIENT_ID with CLIENT_SECRET.
//
// Prints the address that the user has to visit, reads from standard input the address to
// which the user was sent back, and prints what it has learned as JSON.
//
// Usage: openid_sign_in.mjs ISSUER

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import * as client from "openid-client";

const issuer = new URL(process.argv[2]);
const { CLIENT_ID, CLIENT_SECRET } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const metadata = { id_token_signed_response_alg: "ES256" };
const authentication = client.ClientSecretBasic(CLIENT_SECRET);
const config = await client.discovery(issuer, CLIENT_ID, metadata, authentication, {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});
assert.deepEqual(config.serverMetadata().scopes_supported, ["openid", "profile", "email"]);

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: "http://127.0.0.1:33418/callback",
  scope: "openid profile email",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  max_age: "600",
  state: expectedState,
  nonce: expectedNonce,
});
console.log(String(address));
const answer = new URL((await lines.next()).value);
const checks = { pkceCodeVerifier, expectedState, expectedNonce, maxAge: 600 };
const tokens = await client.authorizationCodeGrant(config, answer, {
  ...checks,
  idTokenExpected: true,
});
const { sub } = tokens.claims();
const told = await client.fetchUserInfo(config, tokens.access_token, sub);
const again = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.equal(again.claims().sub, sub);
console.log(JSON.stringify(told));
process.exit(0);
