"""An MCP server that requires tokens for itself: FastMCP, and its verifier of JWTs.

Needs the package fastmcp 4. `JWKS_URL` is where the keys are, `ISSUER` is the `iss` of
tokens (`server.public_url`), and `AUDIENCE` is the name of this service
(`tokens.other_audiences`).
"""

import os

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token

verifier = JWTVerifier(
    jwks_uri=os.environ["JWKS_URL"],
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    algorithm="ES256",
)
server = FastMCP("files", auth=verifier)


@server.tool
def whoami() -> str:
    """Returns the id of the user."""
    return get_access_token().claims["sub"]


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9000"))
    server.run("http", host="127.0.0.1", port=port, stateless_http=True, json_response=True)
