// Logs in and verifies with the client that openapi-typescript generates: `schema.ts`
// stands beside this file. The compiler checks every path, input and output.

import createClient from "openapi-fetch";

import type { paths } from "./schema.ts";

declare const process: { argv: string[] };

const baseUrl = process.argv[2] ?? "";
const client = createClient<paths>({ baseUrl });
const account = { username: "alice", password: "correct horse battery staple" };

const registered = await client.POST("/api/register", { body: account });
expect(registered.data?.username === "alice", registered);

const login = await client.POST("/api/login", { body: account });
expect(login.data !== undefined && "access_token" in login.data, login);
const token = String(login.data.access_token);

const verified = await client.POST("/api/verify_token", { body: { token } });
expect(verified.data?.active === true && verified.data.username === "alice", verified);

const sessions = await client.POST("/api/list_sessions", {
  headers: { authorization: `Bearer ${token}` },
});
expect(sessions.data?.sessions.length === 1, sessions);

const refused = await client.POST("/api/login", { body: { ...account, password: "open sesame" } });
expect(refused.response.status === 401 && refused.error?.error.code === -32001, refused);

const revoked = await client.POST("/revoke", {
  body: { token },
  bodySerializer: (body: Record<string, string>) => new URLSearchParams(body),
  headers: { "content-type": "application/x-www-form-urlencoded" },
});
expect(revoked.response.status === 200, revoked);

const ended = await client.POST("/api/verify_token", { body: { token } });
expect(ended.data?.active === false, ended);

function expect(condition: boolean, found: unknown): asserts condition {
  if (!condition) {
    throw new Error(JSON.stringify(found));
  }
}
