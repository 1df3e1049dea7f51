// An MCP server that users sign in to: the official TypeScript SDK, Express and jose, with
// UserAuth as the authorization server.
//
// ISSUER is the public URL of UserAuth, and RESOURCE is the URL of this server, as it was defined
// with `define_resource`.
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
  requireBearerAuth,
} from "@modelcontextprotocol/express";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, OAuthError, OAuthErrorCode } from "@modelcontextprotocol/server";
import express from "express";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const {
  ISSUER: issuer = "http://localhost:8000",
  RESOURCE: audience = "http://localhost:9000/mcp",
  PORT = "9000",
} = process.env;
const resourceServerUrl = new URL(audience);
const scopes = ["files:read"];
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));

const verifier = {
  async verifyAccessToken(token) {
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
      const { client_id: clientId, exp: expiresAt, scope = "", sub } = payload;
      return { token, clientId, scopes: scope.split(" "), expiresAt, extra: { sub } };
    } catch (error) {
      // Without the keys nothing is known of the token.
      if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) throw error;
      throw new OAuthError(OAuthErrorCode.InvalidToken, error.message);
    }
  },
};

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: "files", version: "1.0.0" });
  const description = "Returns the id of the user.";
  server.registerTool("whoami", { description }, ({ http }) => ({
    content: [{ type: "text", text: http.authInfo.extra.sub }],
  }));
  return server;
});

const metadata = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
const app = express();
app.use(
  mcpAuthMetadataRouter({
    oauthMetadata: await metadata.json(),
    resourceServerUrl,
    scopesSupported: scopes,
  }),
);
app.all(
  "/mcp",
  requireBearerAuth({
    verifier,
    requiredScopes: scopes,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
  }),
  toNodeHandler(handler),
);
app.listen(Number(PORT), "127.0.0.1", () => console.log(`${audience} is ready`));
