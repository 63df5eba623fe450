"""The Python client: `Client`, and `AsyncClient` to be awaited, with each route of the API as a method."""

from tidegate.client.asynchronous import AsyncClient
from tidegate.client.sync import Client
from tidegate.errors import TidegateError

__all__ = ["AsyncClient", "Client", "TidegateError"]
