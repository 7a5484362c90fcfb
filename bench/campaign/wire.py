"""A node's line to the portal that can be cut: a forwarding socket for each node."""

import asyncio
import threading
from contextlib import suppress

CHUNK = 65_536


class Wire:
    """Forwards connections of one node to the portal's port; `cut` ends those that are open and refuses new ones."""

    def __init__(self, portal_port: int) -> None:
        self._portal_port = portal_port
        self._open: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=self._serve, daemon=True).start()
        self._ready.wait()

    def cut(self) -> None:
        """From now on the node and the portal do not hear each other."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._open])

    def mend(self) -> None:
        """The line holds again."""
        self._is_cut = False

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if not self._is_cut:
                await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._portal_port)
        try:
            pair = (_pump(reader, their_writer), _pump(their_reader, writer))
            tasks = [asyncio.ensure_future(each) for each in pair]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            their_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
