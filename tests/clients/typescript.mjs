// Drives a server with the TypeScript SDK, version 1 or 2: connects, lists, calls,
// and continues after a failed login. Neither it nor its validator may print anything.
//
// Usage: typescript.mjs (1|2) (URL | PROGRAM ARGUMENT...)

import assert from "node:assert/strict";

const [version, server, ...args] = process.argv.slice(2);
const said = [];
for (const level of ["debug", "error", "info", "log", "warn"]) {
  console[level] = (...words) => said.push(words.join(" "));
}
process.on("warning", (warning) => said.push(String(warning)));

const sdk =
  version === "1"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/stdio.js")),
      }
    : {
        ...(await import("@modelcontextprotocol/client")),
        ...(await import("@modelcontextprotocol/client/stdio")),
      };
const transport = server.startsWith("http")
  ? new sdk.StreamableHTTPClientTransport(new URL(server))
  : new sdk.StdioClientTransport({ command: server, args, stderr: "ignore" });
const client = new sdk.Client({ name: "test", version: "1" });
await client.connect(transport);
assert.equal(client.getServerVersion().name, "user-auth");

// Compiles the output schemas, against which the SDK validates the answers.
const { tools } = await client.listTools();
// Callers without a credential do not get what needs a permission.
assert.ok(tools.length > (args.length ? 40 : 20));
assert.ok(tools.every((tool) => tool.inputSchema.properties && tool.outputSchema));

const call = async (operation, input = {}) => {
  const result = await client.callTool({ name: `user-auth_${operation}`, arguments: input });
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return { failed: result.isError === true, ...result.structuredContent };
};
const credentials = { username: `typescript-${version}`, password: "correct horse battery staple" };
assert.equal((await call("get_capabilities")).module, "UserAuth");
assert.equal((await call("get_capabilities", { operation: "login" })).name, "login");
assert.equal((await call("register", credentials)).username, credentials.username);
const refused = await call("login", { ...credentials, password: "not the right one" });
assert.deepEqual([refused.failed, refused.error.code], [true, -32001]);
const tokens = await call("login", credentials);
const own = { access_token: tokens.access_token };
assert.equal((await call("get_session", own)).username, credentials.username);
assert.equal((await call("list_sessions", own)).sessions.length, 1);
assert.equal((await call("verify_token", { token: tokens.access_token })).active, true);
assert.equal((await call("logout", own)).session_id, tokens.session_id);
assert.deepEqual(await call("verify_token", { token: tokens.access_token }), {
  active: false,
  failed: false,
});
// The answers of the other tools to empty input fit their schemas.
for (const { name } of tools) {
  if (!name.endsWith("_login")) await call(name.slice("user-auth_".length));
}
// Over standard input the caller is the operator, who is not refused.
if (args.length) {
  const { users } = await call("import_users", { users: [{ username: "bob" }, {}] });
  assert.deepEqual(users.map((user) => user.status), ["imported", "refused"]);
  const bob = { username: "bob" };
  assert.equal((await call("get_user", bob)).sessions, 0);
  assert.equal((await call("define_role", { role: "clerk", permissions: [] })).role, "clerk");
  assert.deepEqual((await call("assign_role", { ...bob, role: "clerk" })).roles, ["clerk"]);
  assert.equal((await call("explain_permissions", bob)).grants.length, 0);
  const { user_id } = await call("create_service_account", { username: "ci" });
  const key = await call("create_api_key", { user_id, name: "first", scopes: [] });
  const introspected = await call("introspect_token", { token: key.api_key });
  assert.equal(introspected.key_id, key.key_id);
  assert.equal((await call("list_api_keys", { user_id })).api_keys.length, 1);
  assert.ok((await call("query_audit", bob)).records.length > 1);
  assert.equal((await call("verify_audit_chain", bob)).intact, true);
  assert.equal((await call("disable_user", bob)).status, "disabled");
}
await client.close();
assert.deepEqual(said, []);
process.stdout.write("ok\n");
