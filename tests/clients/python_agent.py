"""Signs a user in with the official Python SDK, as an agent that must not see a password.

Prints the address that the user has to visit, alone on a line, and waits for a line; then
prints everything that the model has seen, and "ok".

Usage: python_agent.py (legacy|2026-07-28) (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
import mcp.types as types

SEEN: list[str] = []


async def user_visits(url: str) -> None:
    print(url, flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def opened(_, asked: types.ElicitRequestParams) -> types.ElicitResult:
    SEEN.append(asked.message)
    await user_visits(asked.url)
    return types.ElicitResult(action="accept")


async def main(mode: str, server: str | StdioServerParameters) -> None:
    async with Client(server, mode=mode, cache=None, elicitation_callback=opened) as client:

        async def call(operation: str, /, **arguments) -> dict:
            result = await client.call_tool(f"user-auth_{operation}", arguments)
            SEEN.extend([json.dumps(arguments), result.model_dump_json()])
            assert not result.is_error, result
            return result.structured_content

        begun = await call("begin_sign_in", client_name="Desk agent")
        if mode == "legacy":
            await user_visits(begun["verification_uri"])
        sign_in_id = begun["sign_in_id"]
        outcome = await call("complete_sign_in", sign_in_id=sign_in_id)
        assert outcome["status"] == "complete" and outcome["username"] == "alice", outcome
        verified = await call("verify_token", sign_in_id=sign_in_id)
        assert verified["active"] and verified["sub"] == outcome["user_id"], verified
        await call("check_permission", sign_in_id=sign_in_id, permission="files:read")
        await call("logout", sign_in_id=sign_in_id)
        assert await call("verify_token", sign_in_id=sign_in_id) == {"active": False}
    print("\n".join(SEEN))
    print("ok")


if __name__ == "__main__":
    mode, program, *arguments = sys.argv[1:]
    if program.startswith("http"):
        server = program
    else:
        server = StdioServerParameters(command=program, args=arguments, env=dict(os.environ))
    asyncio.run(main(mode, server))
