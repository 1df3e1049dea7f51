// An MCP server that requires tokens for itself: Express, the official TypeScript SDK with its
// middleware for bearer tokens, and jose.
//
// Needs the packages express 5, @modelcontextprotocol/sdk 1 and jose 6. JWKS_URL is where the
// keys are, ISSUER is the `iss` of tokens (`server.public_url`), and AUDIENCE is the name of
// this service (`tokens.other_audiences`).
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const { JWKS_URL, ISSUER: issuer, AUDIENCE: audience, PORT = "9000" } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));

const verifier = {
  async verifyAccessToken(token) {
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
      const { client_id: clientId, scope, exp: expiresAt, sub } = payload;
      return { token, clientId, scopes: scope.split(" "), expiresAt, extra: { sub } };
    } catch (error) {
      // Without the keys nothing is known of the token.
      if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) throw error;
      throw new InvalidTokenError(error.message);
    }
  },
};

async function answer(request, response) {
  const server = new McpServer({ name: "files", version: "1.0.0" });
  const description = "Returns the id of the user.";
  server.registerTool("whoami", { description }, ({ authInfo }) => ({
    content: [{ type: "text", text: authInfo.extra.sub }],
  }));
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  await server.connect(transport);
  await transport.handleRequest(request, response, request.body);
}

const app = express();
app.post("/mcp", express.json(), requireBearerAuth({ verifier }), answer);
const listener = app.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${listener.address().port}`);
});
