// An authorization server on oidc-provider that does what UserAuth does in the benchmark:
// codes with S256, access tokens that are JWTs with ES256 for one resource server, refresh
// tokens that are replaced, introspection by the resource server. It keeps everything in
// memory. The codes are made in advance, since signing in is not measured.
//
// Usage: oidc_provider.mjs NUMBER_OF_CODES CODE_CHALLENGE. Prints the codes and its port.

import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

// The adapter of the package itself forgets all but the last 1,000 records.
class Memory {
  static records = new Map();

  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, record) {
    Memory.records.set(`${this.kind}:${id}`, record);
  }

  async find(id) {
    return Memory.records.get(`${this.kind}:${id}`);
  }

  async consume(id) {
    const record = await this.find(id);
    record.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    Memory.records.delete(`${this.kind}:${id}`);
  }

  // Only called when something is used twice, which does not happen here.
  async revokeByGrantId() {}
}

const signed = { id_token_signed_response_alg: "ES256" };
const [codes, challenge] = process.argv.slice(2);
const resource = "https://files.example.com/mcp";
const redirectUri = "https://desk.example.com/cb";
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "ES256" };

const provider = new Provider("http://127.0.0.1", {
  adapter: Memory,
  clients: [
    {
      ...signed,
      client_id: "desk",
      token_endpoint_auth_method: "none",
      redirect_uris: [redirectUri],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    },
    {
      ...signed,
      client_id: "files",
      client_secret: "a secret of the resource server that introspects",
      redirect_uris: [],
      grant_types: [],
      response_types: [],
    },
  ],
  jwks: { keys: [key] },
  scopes: ["files:read"],
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  ttl: { AuthorizationCode: 600, Grant: 3600, RefreshToken: 3600, AccessToken: 900 },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "files:read",
        audience: resource,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const client = await provider.Client.find("desk");
for (let made = 0; made < Number(codes); made += 1) {
  const own = new provider.Grant({ accountId: "alice", clientId: "desk" });
  own.addResourceScope(resource, "files:read");
  const code = new provider.AuthorizationCode({
    client,
    accountId: "alice",
    authTime: Math.floor(Date.now() / 1000),
    grantId: await own.save(),
    scope: "files:read",
    resource,
    redirectUri,
    codeChallenge: challenge,
    codeChallengeMethod: "S256",
    expiresWithSession: false,
  });
  console.log(`code ${await code.save()}`);
}
const server = provider.listen(0, "127.0.0.1", () => {
  console.log(`port ${server.address().port}`);
});
