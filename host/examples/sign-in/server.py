"""An MCP server that users sign in to: FastMCP, with UserAuth as its authorization server.

`ISSUER` is the public URL of UserAuth, and `RESOURCE` is the URL of this server, as it was
defined with `define_resource`.
"""

import os

from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token
from fastmcp.utilities.auth import decode_jwt_header

issuer = os.environ.get("ISSUER", "http://localhost:8000")
resource = os.environ.get("RESOURCE", "http://localhost:9000/mcp")
scopes = ["files:read"]


class AccessTokenVerifier(JWTVerifier):
    """Verifies access tokens (RFC 9068): other kinds of tokens may have the same key."""

    async def load_access_token(self, token: str) -> AccessToken | None:
        verified = await super().load_access_token(token)
        if verified is None or decode_jwt_header(token).get("typ") != "at+jwt":
            return None
        return verified


auth = RemoteAuthProvider(
    AccessTokenVerifier(
        jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=resource, algorithm="ES256"
    ),
    authorization_servers=[issuer],
    base_url=resource.removesuffix("/mcp"),
    required_scopes=scopes,
    challenge_scopes=scopes,
    scopes_supported=scopes,
)
server = FastMCP("files", auth=auth)


@server.tool
def whoami() -> str:
    """Returns the id of the user."""
    return get_access_token().claims["sub"]


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9000"))
    server.run("http", host="127.0.0.1", port=port, stateless_http=True, json_response=True)
