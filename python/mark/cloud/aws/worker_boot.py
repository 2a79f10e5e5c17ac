"""What the driver tells an instance of a model on an offering."""

from __future__ import annotations

from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.cloud.aws.user_data import user_data
from mark.domain.artifact import ModelArtifact
from mark.errors import CloudError, ConfigError

__all__ = ["WorkerBoot"]


class WorkerBoot:
    """User data of workers; a model that they need is in the bucket before it is named in them.

    Thread safety: may be called from any thread.
    """

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        """Ask AWS for nothing yet."""
        self._settings = settings
        self._session = session
        self._models = ModelStore(lambda: session.client("s3"), self._bucket)

    def __call__(self, offering: AwsOffering, artifact: ModelArtifact) -> str:
        """User data as text, the same for the same arguments.

        Raises:
            CloudError: the model's file cannot be read or uploaded, or the user data are longer than EC2 takes.
        """
        kind, traces = offering.offering, self._settings.traces
        settings = AgentSettings(
            self._settings.cluster,
            self._settings.region,
            self._bucket(),
            self._models.upload(artifact),
            threads=kind.threads,
            cpu_share=kind.cpu_share,
            device=kind.device,
            port=self._settings.worker_port,
            install=self._settings.install,
            trace_endpoint="" if traces is None else traces.endpoint,
            trace_service="" if traces is None else traces.service_name,
        )
        try:
            return user_data(settings)
        except ConfigError as error:
            raise CloudError(str(error)) from error

    def _bucket(self) -> str:
        return self._settings.bucket(self._session.account)
