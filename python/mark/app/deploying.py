"""Functions that are deployed by the router that leads, and used by every router."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from mark.app.serverless import deploy_functions, functions_are_there
from mark.config import Config
from mark.errors import CloudError, MarkError
from mark.live.leading import leads, until_leads
from mark.ports import Cloud, Led

__all__ = ["Deploying"]

_log = logging.getLogger(__name__)

_AGAIN_S, _AGAIN_MAX_S = 5.0, 300.0


class Deploying:
    """Makes the functions of every model what the configuration says, as soon as this router leads.

    Two routers that change the same function would deploy over each other.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, config: Config, cloud: Cloud) -> None:
        """Change nothing yet; the cloud is open."""
        self._config = config
        self._cloud = cloud
        self._later: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once every function can be called.

        A router that follows uses what is deployed, whatever its version, and makes it its own when it leads. Where
        there is nothing yet it waits for that.

        Raises:
            ConfigError: the code of one cannot be made.
            CloudError: AWS does not do it, or another router has taken the lead over.
        """
        if not leads(self._cloud) and await functions_are_there(self._config):
            self._later = asyncio.get_running_loop().create_task(self._deploy_later())
            return
        await until_leads(self._cloud)
        await self._deploy()

    async def close(self) -> None:
        """Deploy no more. Idempotent."""
        if self._later is not None:
            self._later.cancel()
            with suppress(asyncio.CancelledError):
                await self._later

    async def _deploy(self) -> None:
        await deploy_functions(self._config, self._cloud if isinstance(self._cloud, Led) else None)

    async def _deploy_later(self) -> None:
        pause_s = _AGAIN_S
        while True:
            try:
                await until_leads(self._cloud)
            except CloudError:
                return  # the lead is lost: the control loops end the router, and say why
            try:
                await self._deploy()
            except MarkError as error:
                # What is deployed serves meanwhile, so nothing is to end for it.
                _log.error("functions stay as they are deployed; trying again in %g s: %s", pause_s, error)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_AGAIN_MAX_S, 2 * pause_s)
