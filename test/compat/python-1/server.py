"""A server on FastMCP, as Python's official SDK 1 has it: one tool. Reads `transport port`; the transport is
streamable-http or sse."""

import sys

from mcp.server.fastmcp import FastMCP

transport, port = sys.argv[1:]
server = FastMCP("python-server", host="127.0.0.1", port=int(port))


@server.tool()
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Grüezi {name}"


server.run(transport)
