"""A server on Python's official SDK: one tool. Reads `transport port`; the transport is streamable-http or sse."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("python-server")


@server.tool()
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Grüezi {name}"


transport, port = sys.argv[1:]
server.run(transport, host="127.0.0.1", port=int(port))
