"""A module whose import raises what is no `Exception`."""

import asyncio

raise asyncio.CancelledError("no import")
