// Drives a server with the MCP client of the AI SDK: connects, lists, calls, and
// continues after a failed login.
//
// Usage: ai_sdk.mjs (modern|handshake) (URL | PROGRAM ARGUMENT...)

import assert from "node:assert/strict";
import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio";

const [era, server, ...args] = process.argv.slice(2);
const transport = server.startsWith("http")
  ? { type: "http", url: server }
  : new StdioTransport({ command: server, args, stderr: "ignore" });
const client = await createMCPClient({ transport, protocolVersionDiscovery: era === "modern" });
const tools = await client.tools();
// Over HTTP, callers without a credential do not get what needs a permission.
assert.ok(Object.keys(tools).length > 20);

const call = (operation, input) =>
  tools[`user-auth_${operation}`].execute(input, { toolCallId: "1", messages: [] });
const credentials = { username: "ai-sdk", password: "correct horse battery staple" };
const registered = await call("register", credentials);
assert.equal(registered.structuredContent.username, credentials.username);
const refused = await call("login", { ...credentials, password: "not the right one" });
assert.equal(refused.isError, true);
assert.equal(JSON.parse(refused.content[0].text).error.code, -32001);
assert.equal((await call("login", credentials)).structuredContent.token_type, "Bearer");
await client.close();
process.stdout.write("ok\n");
