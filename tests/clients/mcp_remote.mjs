// Drives a server over HTTP through mcp-remote, as clients do that only support standard
// input and output.
//
// Usage: mcp_remote.mjs URL

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [url] = process.argv.slice(2);
const folder = dirname(createRequire(import.meta.url).resolve("mcp-remote/package.json"));
const client = new Client({ name: "test", version: "1" });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: [join(folder, "dist/proxy.js"), url, "--allow-http", "--transport", "http-only"],
    // The folder in which mcp-remote keeps its data about servers.
    env: { HOME: process.env.HOME, MCP_REMOTE_CONFIG_DIR: process.env.HOME },
    stderr: "ignore",
  }),
);
// Callers without a credential do not get what needs a permission.
assert.ok((await client.listTools()).tools.length > 20);

const call = async (operation, input) =>
  client.callTool({ name: `user-auth_${operation}`, arguments: input });
const credentials = { username: "mcp-remote", password: "correct horse battery staple" };
const registered = await call("register", credentials);
assert.equal(registered.structuredContent.username, credentials.username);
const refused = await call("login", { ...credentials, password: "not the right one" });
assert.equal(refused.isError, true);
assert.equal(refused.structuredContent.error.code, -32001);
assert.equal((await call("login", credentials)).structuredContent.token_type, "Bearer");
await client.close();
process.stdout.write("ok\n");
