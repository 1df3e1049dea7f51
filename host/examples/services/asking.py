"""An MCP server that asks about each token, and so notices a logout at once: FastMCP, and its
verifier by introspection (RFC 7662). It admits the tokens that users get when they log in.

Needs the package fastmcp 4. `INTROSPECTION_URL` is where to ask, and `API_KEY` is the key of
a service account with the permission `user-auth:tokens:introspect`.
"""

import os

from fastmcp import FastMCP
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from fastmcp.server.dependencies import get_access_token

verifier = IntrospectionTokenVerifier(
    introspection_url=os.environ["INTROSPECTION_URL"],
    client_id="files",
    client_secret=os.environ["API_KEY"],
    # Refresh tokens and API keys can be active as well, but have no audience.
    audience="user-auth",
)
server = FastMCP("files", auth=verifier)


@server.tool
def whoami() -> str:
    """Returns the id of the user."""
    return get_access_token().claims["sub"]


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9000"))
    server.run("http", host="127.0.0.1", port=port, stateless_http=True, json_response=True)
