"""What a launch needs to know of the account: subnets, the security group and the image. Looked up once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.errors import translated
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.errors import CloudError

__all__ = ["Places"]

_SSM = "ssm:"


class Places:
    """Looks things up when they are first asked for, and remembers them.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        """Look nothing up yet."""
        self._settings = settings
        self._session = session
        self._lock = threading.RLock()
        self._subnets: Mapping[str, str] | None = dict(settings.subnets) or None
        self._group: str | None = None
        self._image: tuple[str, str] | None = None

    def subnets(self) -> Mapping[str, str]:
        """Zone -> the subnet to launch in: those of the settings, or the default subnet of every zone.

        Raises:
            CloudError: there is none, or AWS does not say.
        """
        with self._lock:
            if self._subnets is None:
                filters = [{"Name": "default-for-az", "Values": ["true"]}]
                answer = self._ask("looking for the default subnets", "describe_subnets", Filters=filters)
                found = {each["AvailabilityZone"]: each["SubnetId"] for each in answer["Subnets"]}
                if not found:
                    raise CloudError(f"{self._settings.region} has no default subnets; name some: aws.subnets")
                self._subnets = dict(sorted(found.items()))
            return self._subnets

    def security_group(self) -> str:
        """Id of the security group of routers and workers.

        Raises:
            CloudError: there is none, or AWS does not say.
        """
        with self._lock:
            if self._group is None:
                filters = [
                    {"Name": "group-name", "Values": [self._settings.security_group]},
                    {"Name": f"tag:{tags.CLUSTER}", "Values": [self._settings.cluster]},
                ]
                answer = self._ask("looking for the security group", "describe_security_groups", Filters=filters)
                if not answer["SecurityGroups"]:
                    raise CloudError(
                        f"there is no security group {self._settings.security_group}: `mark aws bootstrap` makes it"
                    )
                self._group = str(answer["SecurityGroups"][0]["GroupId"])
            return self._group

    def image(self) -> tuple[str, str]:
        """Id of the image, and the name of its root device.

        Raises:
            CloudError: there is none, or AWS does not say.
        """
        with self._lock:
            if self._image is None:
                image = self._resolved(self._settings.image)
                answer = self._ask(f"looking for the image {image}", "describe_images", ImageIds=[image])
                if not answer["Images"]:
                    raise CloudError(f"{self._settings.region} has no image {image}; name another: aws.image")
                self._image = (image, str(answer["Images"][0]["RootDeviceName"]))
            return self._image

    def _resolved(self, image: str) -> str:
        if not image.startswith(_SSM):
            return image
        name = image.removeprefix(_SSM)
        try:
            return str(self._session.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except Exception as error:
            raise translated(error, f"reading the image of the parameter {name}; aws.image can name another") from error

    def _ask(self, what: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        ask: Callable[..., Mapping[str, Any]] = getattr(self._session.client("ec2"), operation)
        try:
            return ask(**parameters)
        except Exception as error:
            raise translated(error, what) from error
