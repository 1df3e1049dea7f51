// Has the user sign in by browser, and calls a tool: the official TypeScript SDK.
//
// Usage: node client.mjs [URL]
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

const url = new URL(process.argv[2] ?? "http://localhost:9000/mcp");

// The page to which the browser returns: any free port, on this machine only.
let resolve;
const answered = new Promise((resolved) => (resolve = resolved));
const page = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
  if (pathname !== "/callback") return response.writeHead(404).end();
  response.end("You can close this window.");
  resolve(searchParams);
});
await new Promise((listening) => page.listen(0, "127.0.0.1", listening));
const redirectUrl = `http://127.0.0.1:${page.address().port}/callback`;

// A client that keeps these over restarts asks its user less often.
const kept = {};
const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: "Example",
    redirect_uris: [redirectUrl],
    token_endpoint_auth_method: "none",
  },
  state: () => (kept.state ??= crypto.randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => void (kept.discovery = discovery),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  redirectToAuthorization: (address) => console.log(`Visit this address to sign in:\n${address}`),
};

const connect = async () => {
  const client = new Client({ name: "example", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const answer = await answered;
    if (answer.get("state") !== kept.state) throw new Error("not the answer to this request");
    await transport.finishAuth(answer);
    return await connect();
  }
};

const client = await connect();
const result = await client.callTool({ name: "whoami" });
console.log(`You are ${result.content[0].text}`);
await client.close();
page.close();
page.closeAllConnections();
