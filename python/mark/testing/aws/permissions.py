"""Which actions a call needs to be allowed, on which resources, and what their conditions may ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mark.testing.aws.computers import INSTANCE_KEY
from mark.testing.aws.ec2_state import ACCOUNT, Ec2State
from mark.testing.aws.identities import policy_of_role, role_arns
from mark.testing.aws.instances import tags_for
from mark.testing.aws.policy import Action, Policy
from mark.testing.aws.resources import resource_of
from mark.testing.aws.tagged import tags_by_arn
from mark.testing.aws.wire import AwsError, Call

__all__ = ["Permissions"]

_FREE = frozenset({"sts:GetCallerIdentity"})  # nobody can be denied to ask who it is
_QUERY_LIKE = frozenset({"s3", "iam", "sts", "sqs"})
_LAUNCHES = frozenset({"ec2:RunInstances", "ec2:CreateFleet"})

# Operations whose permission has another name.
_NAMES: Mapping[str, str] = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
_PREFIXES = {"service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}


class Permissions:
    """Who may do what: by the policy of an access key, or by those of a role.

    Thread safety: every method may be called from any thread; a policy is replaced as a whole.
    """

    def __init__(self, state: Ec2State) -> None:
        self._state = state
        self._policies: dict[str, Policy] = {}  # by access key; "" for every other one

    def allow(self, document: Mapping[str, Any] | None, key: str = "") -> None:
        """Allow what a policy does, or everything; to an access key, or to all that have no policy of their own.

        Raises:
            ValueError: the policy has an element that the fake does not know.
        """
        if document is None:
            self._policies.pop(key, None)
        else:
            self._policies[key] = Policy(document)

    def denied(self, call: Call) -> AwsError | None:
        """The error of a call that the policy does not allow."""
        policy = self.policy_of(call.key)
        if policy is None or call.name in _FREE:
            return None
        for action in self._actions(call):
            if not policy.allows(action):
                return _refusal(call, action)
        return None

    def policy_of(self, key: str) -> Policy | None:
        """The policy of an access key; None for one that may do everything."""
        begins, dot, role = key.partition(".")
        if begins != INSTANCE_KEY:
            return self._policies.get(key, self._policies.get(""))
        return Policy(policy_of_role(role)) if dot else None

    def _actions(self, call: Call) -> Iterator[Action]:
        if call.name in _LAUNCHES:
            yield from self._launch(call)
            return
        name = _NAMES.get(call.name) or f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
        asked = _asked_tags(call)
        tags = tags_by_arn(self._state, ended=True)
        arns = list(resource_of(call, self._state.params.region))
        for arn in arns:
            yield self._action(call, name, arn, asked, tags.get(arn, {}))
        if call.service == "ec2" and call.operation.startswith("Create") and call.params.get("TagSpecifications"):
            for arn in arns:
                yield self._tagging(call, arn, asked)
        yield from self._passed_role(call)

    def _launch(self, call: Call) -> Iterator[Action]:
        stem = f"arn:aws:ec2:{self._state.params.region}"
        owned = f"{stem}:{ACCOUNT}"
        tags = tags_by_arn(self._state, ended=True)
        if call.name == "ec2:CreateFleet":
            fleet_tags = tags_for(call.params, "fleet")
            yield self._action(call, "ec2:CreateFleet", f"{owned}:fleet/*", fleet_tags, {})
            if fleet_tags:
                yield self._tagging(call, f"{owned}:fleet/*", fleet_tags)
        for template, settings in self._launched(call):
            for kind in ["instance", "volume"]:
                asked = tags_for(settings, kind) | tags_for(call.params, kind)
                yield self._action(call, "ec2:RunInstances", f"{owned}:{kind}/*", asked, {})
                if asked:
                    yield self._tagging(call, f"{owned}:{kind}/*", asked)
            named = [f"{stem}::image/{settings.get('ImageId', '*')}", f"{owned}:network-interface/*"]
            if template:
                named.append(f"{owned}:launch-template/{template}")
            named += [f"{owned}:security-group/{group}" for group in settings.get("SecurityGroupIds", [])]
            named.append(f"{owned}:subnet/{settings.get('SubnetId') or self._state.place(settings)[0]}")
            for arn in named:
                yield self._action(call, "ec2:RunInstances", arn, {}, tags.get(arn, {}))
            yield from self._passed_profile(call, settings.get("IamInstanceProfile") or {})

    def _launched(self, call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
        """Id of the launch template and merged parameters of each launch that a call means."""
        own = {key: value for key, value in call.params.items() if key != "TagSpecifications"}
        if call.name == "ec2:RunInstances":
            named = call.params.get("LaunchTemplate")
            content = self._state.template_data(named) if named else {}
            identity = self._state.template_shown(named)["LaunchTemplateId"] if named else ""
            yield identity, {**content, **own}
            return
        for config in call.params.get("LaunchTemplateConfigs", []):
            named = config["LaunchTemplateSpecification"]
            identity = self._state.template_shown(named)["LaunchTemplateId"]
            for override in config.get("Overrides") or [{}]:
                placed = {"Placement": {"AvailabilityZone": override.get("AvailabilityZone")}}
                yield identity, {**self._state.template_data(named), **placed, **override}

    def _passed_profile(self, call: Call, profile: Mapping[str, str]) -> Iterator[Action]:
        for role in role_arns(profile):
            yield self._pass_role(call, role, "ec2.amazonaws.com")

    def _passed_role(self, call: Call) -> Iterator[Action]:
        if call.name in {"lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"} and call.params.get("Role"):
            yield self._pass_role(call, call.params["Role"], "lambda.amazonaws.com")
        if call.name == "iam:AddRoleToInstanceProfile":
            yield self._pass_role(call, f"arn:aws:iam::{ACCOUNT}:role/{call.params['RoleName']}", "ec2.amazonaws.com")

    def _pass_role(self, call: Call, arn: str, service: str) -> Action:
        action = self._action(call, "iam:PassRole", arn, {}, {})
        return Action(action.name, arn, {**action.context, "iam:passedtoservice": [service]})

    def _tagging(self, call: Call, arn: str, asked: Mapping[str, str]) -> Action:
        action = self._action(call, "ec2:CreateTags", arn, asked, {})
        return Action(action.name, arn, {**action.context, "ec2:createaction": [call.operation]})

    def _action(self, call: Call, name: str, arn: str, asked: Mapping[str, str], tags: Mapping[str, str]) -> Action:
        context: dict[str, list[str]] = {"aws:requestedregion": [call.region], "aws:securetransport": ["true"]}
        context |= {f"aws:requesttag/{key}": [value] for key, value in asked.items()}
        for prefix in ["aws", call.service]:
            context |= {f"{prefix}:resourcetag/{key}": [value] for key, value in tags.items()}
        if asked:
            context["aws:tagkeys"] = list(asked)
        return Action(name, arn, context)


def _asked_tags(call: Call) -> dict[str, str]:
    """The tags that a call puts on what it makes or names, in the several ways that services take them."""
    asked: dict[str, str] = {}
    for specification in call.params.get("TagSpecifications") or []:
        asked |= {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])}
    for member in ["Tags", "tags"]:
        tags = call.params.get(member) or {}
        if isinstance(tags, Mapping):
            asked |= tags
        else:
            asked |= {tag["Key"]: tag.get("Value") or "" for tag in tags}
    keys = call.params.get("TagKeys") or []
    return asked | {key: "" for key in keys if key not in asked}


def _refusal(call: Call, action: Action) -> AwsError:
    message = f"You are not authorized to perform: {action.name} on resource: {action.resource}"
    if call.service == "ec2":
        return AwsError("UnauthorizedOperation", message)
    return AwsError("AccessDenied" if call.service in _QUERY_LIKE else "AccessDeniedException", message)
