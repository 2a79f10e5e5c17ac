"""Whether image, types, network, quotas and prices suit a cluster's offerings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mark.cloud.aws.finding import Finding, Verdict
from mark.cloud.aws.places import Places
from mark.cloud.aws.pools import Pool, quota_of
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.resources.calls import called, called_unless
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.domain.offering import Market

__all__ = ["TypeFacts", "image_of", "network_of", "prices_of", "quotas_of", "types_of"]

_NO_SUCH_TYPE = {"InvalidInstanceType", "InvalidParameterValue"}
# Service Quotas' code of what `quota_of` names.
_QUOTAS = {
    "on_demand/standard": "L-1216C47A",
    "spot/standard": "L-34B43A08",
    "on_demand/g": "L-DB2E81BA",
    "spot/g": "L-3819A6DF",
    "on_demand/p": "L-417A185B",
    "spot/p": "L-7212CCBC",
    "on_demand/inf": "L-1945791B",
    "spot/inf": "L-B5D1601B",
}


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What EC2 says of a type."""

    vcpus: int
    architectures: frozenset[str]


def types_of(settings: AwsSettings, session: AwsSession) -> dict[str, TypeFacts]:
    """The types of the offerings that the region has.

    Raises:
        CloudError: EC2 does not say.
    """
    ec2, found = session.client("ec2"), {}
    for kind in sorted({each for offering in settings.offerings for each in offering.types}):
        # One by one: EC2 refuses all of them where it does not know one.
        what = f"looking for the type {kind}"
        answer = called_unless(_NO_SUCH_TYPE, what, lambda kind=kind: ec2.describe_instance_types(InstanceTypes=[kind]))  # type: ignore[misc]
        for each in () if answer is None else answer["InstanceTypes"]:
            architectures = frozenset(each["ProcessorInfo"]["SupportedArchitectures"])
            found[str(each["InstanceType"])] = TypeFacts(int(each["VCpuInfo"]["DefaultVCpus"]), architectures)
    return found


def image_of(settings: AwsSettings, session: AwsSession, types: Mapping[str, TypeFacts]) -> Iterator[Finding]:
    """Whether the image is there, and every type is there and runs it.

    Raises:
        CloudError: EC2 does not say.
    """
    wanted = sorted({each for offering in settings.offerings for each in offering.types})
    for kind in wanted:
        if kind not in types:
            yield Finding(
                f"type {kind}", Verdict.MISSING, f"{settings.region} does not have it", "name another: offerings types"
            )
    image, _ = Places(settings, session).image()
    answer = called("reading the image", lambda: session.client("ec2").describe_images(ImageIds=[image]))
    architecture = str(answer["Images"][0]["Architecture"])
    unfit = [kind for kind in wanted if kind in types and architecture not in types[kind].architectures]
    if unfit:
        mend = "aws.image: one of their architecture, or offerings of types of the image's"
        yield Finding(f"image {image}", Verdict.MISSING, f"is for {architecture}; not so {', '.join(unfit)}", mend)
    else:
        yield Finding(f"image {image}", Verdict.WELL, f"is there, for {architecture}")


def network_of(settings: AwsSettings, session: AwsSession) -> Iterator[Finding]:
    """Whether there is a subnet in each zone that an offering names, and all lie in one network.

    Raises:
        CloudError: EC2 does not say, or there is no subnet at all.
    """
    subnets = Places(settings, session).subnets()
    ids = sorted(subnets.values())
    answer = called("reading the subnets", lambda: session.client("ec2").describe_subnets(SubnetIds=ids))
    zones = {str(each["SubnetId"]): str(each["AvailabilityZone"]) for each in answer["Subnets"]}
    networks = {str(each["VpcId"]) for each in answer["Subnets"]}
    wrong = [f"{subnet} lies in {zones[subnet]}" for zone, subnet in subnets.items() if zones.get(subnet, zone) != zone]
    missing = {zone for offering in settings.offerings for zone in offering.zones if zone not in subnets}
    wrong += [f"no subnet in {zone}" for zone in sorted(missing)]
    if len(networks) > 1:
        wrong.append(f"subnets of several networks: {', '.join(sorted(networks))}")
    if wrong:
        yield Finding("network", Verdict.MISSING, "; ".join(wrong), "aws.subnets, or the offerings' zones")
    else:
        yield Finding("network", Verdict.WELL, f"{', '.join(sorted(networks))}: {', '.join(sorted(subnets))}")


def quotas_of(settings: AwsSettings, session: AwsSession, types: Mapping[str, TypeFacts]) -> Iterator[Finding]:
    """Whether the account's quotas allow `max_count` of every offering at once, on its largest type.

    Raises:
        CloudError: Service Quotas does not say.
    """
    needed: Counter[str] = Counter()
    for offering in settings.offerings:
        market = Market.SPOT if offering.offering.market is Market.SPOT else Market.ON_DEMAND
        sizes = {quota_of(Pool(each, "", market)): types[each].vcpus for each in offering.types if each in types}
        for each in offering.types:
            if each in types:
                quota = quota_of(Pool(each, "", market))
                sizes[quota] = max(sizes[quota], types[each].vcpus)
        for quota, vcpus in sizes.items():
            needed[quota] += vcpus * offering.offering.max_count
    client = session.client("service-quotas")
    pages = called(
        "reading quotas", lambda: list(client.get_paginator("list_service_quotas").paginate(ServiceCode="ec2"))
    )
    allowed = {str(each["QuotaCode"]): float(each["Value"]) for page in pages for each in page["Quotas"]}
    for quota, vcpus in sorted(needed.items()):
        code = _QUOTAS.get(quota, "")
        what, kind = f"quota {quota.replace('_', '-')}", f"max_count needs {vcpus} vCPUs"
        if code not in allowed:
            yield Finding(what, Verdict.UNKNOWN, f"{kind}; AWS does not list this quota")
        elif allowed[code] < vcpus:
            mend = (
                f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
                f"--desired-value {vcpus} --region {settings.region}"
            )
            yield Finding(what, Verdict.MISSING, f"{kind}, the account may run {allowed[code]:g}", mend)
        else:
            yield Finding(what, Verdict.WELL, f"{kind}, the account may run {allowed[code]:g}")


def prices_of(settings: AwsSettings, session: AwsSession) -> Iterator[Finding]:
    """What each offering costs now, and how old that is.

    Raises:
        CloudError: a price cannot be had; those of the configuration hold.
    """
    prices = PresentPrices(settings, session)
    prices.refresh_on_demand()
    prices.refresh_spot()
    words = ", ".join(f"{each.offering.name} ${prices.price(each):.4f}/h" for each in settings.offerings)
    yield Finding("prices", Verdict.WELL, f"of now: {words}")
