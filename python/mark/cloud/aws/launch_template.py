"""The launch template of a model on an offering: named after its content, and made when it is first needed.

Parameters: Amazon EC2 API Reference, CreateLaunchTemplate.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.places import Places
from mark.cloud.aws.session import Client
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.domain.artifact import ModelArtifact

__all__ = ["LaunchTemplates", "UserData", "template_data", "template_name"]

UserData = Callable[[AwsOffering, ModelArtifact], str]
"""(offering, model) -> what an instance is told to do when it boots; no secret, for anyone on it may read it"""

_EXISTS = "InvalidLaunchTemplateName.AlreadyExistsException"


def template_data(
    settings: AwsSettings, image: str, root_device: str, security_group: str, user_data: str
) -> dict[str, Any]:
    """What every instance of a template gets. IMDSv2 alone, an encrypted disk, and an end when it shuts itself down."""
    return {
        "ImageId": image,
        "IamInstanceProfile": {"Name": settings.worker_role},
        "SecurityGroupIds": [security_group],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": [
            {"DeviceName": root_device, "Ebs": {"VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}}
        ],
        "UserData": base64.b64encode(user_data.encode()).decode(),
    }


def template_name(settings: AwsSettings, data: dict[str, Any]) -> str:
    """A name that only this content has."""
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return f"{settings.template}-{digest[:16]}"


class LaunchTemplates:
    """Makes the templates of a cluster, each once.

    Thread safety: every method may be called from any thread.

    Invariant: `_made` holds names that EC2 is known to have.
    """

    def __init__(
        self, settings: AwsSettings, client: Callable[[], Client], places: Places, user_data: UserData
    ) -> None:
        """Make none yet."""
        self._settings = settings
        self._client = client
        self._places = places
        self._user_data = user_data
        self._lock = threading.Lock()
        self._made: set[str] = set()

    def of(self, offering: AwsOffering, artifact: ModelArtifact) -> str:
        """Name of the template; it is made if it is not there.

        Raises:
            CloudError: it cannot be made.
        """
        image, root_device = self._places.image()
        data = template_data(
            self._settings, image, root_device, self._places.security_group(), self._user_data(offering, artifact)
        )
        name = template_name(self._settings, data)
        with self._lock:
            if name not in self._made:
                self._make(name, data, {tags.MODEL: artifact.signature.name, tags.OFFERING: offering.offering.name})
                self._made.add(name)
        return name

    def forget(self, name: str) -> None:
        """EC2 says that it has no such template: somebody deleted it."""
        with self._lock:
            self._made.discard(name)

    def _make(self, name: str, data: dict[str, Any], carried: dict[str, str]) -> None:
        carried = {tags.CLUSTER: self._settings.cluster, **carried}
        try:
            self._client().create_launch_template(
                LaunchTemplateName=name,
                LaunchTemplateData=data,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags.tag_list(carried)}],
            )
        except Exception as error:
            if code_of(error) != _EXISTS:
                raise translated(error, f"making the launch template {name}") from error
