"""Prices, quotas and CPU credits of the fake AWS, as boto3 asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from integration.fake_aws_world import client, states, wait_until

from mark.testing.aws import FakeAws, FakeAwsParams


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    prices = {"c5.large": 0.085, "t2.medium": 0.0464, "t3.medium": 0.0416}
    with FakeAws(FakeAwsParams(prices_usd_per_hour=prices, vcpu_quotas={"L-1216C47A": 64})) as running:
        yield running


def products(aws: FakeAws, **wanted: str) -> list[Any]:
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    pages = (
        client(aws, "pricing")
        .get_paginator("get_products")
        .paginate(ServiceCode="AmazonEC2", Filters=filters, PaginationConfig={"PageSize": 2})
    )
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def test_prices_are_told_in_the_shape_of_the_price_list(aws: FakeAws) -> None:
    every = {"regionCode": "us-east-1", "operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared"}
    assert len(products(aws, **every, capacitystatus="Used", marketoption="OnDemand")) == 3
    assert products(aws, operatingSystem="Windows") == []
    [found] = products(aws, instanceType="c5.large")
    [term] = found["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    assert float(dimension["pricePerUnit"]["USD"]) == 0.085


def test_quotas_are_told_in_vcpus(aws: FakeAws) -> None:
    quotas = client(aws, "service-quotas")
    listed = {
        each["QuotaCode"]: each["Value"]
        for page in quotas.get_paginator("list_service_quotas").paginate(ServiceCode="ec2")
        for each in page["Quotas"]
    }
    assert (listed["L-1216C47A"], listed["L-34B43A08"]) == (64, 5000)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]["Value"] == 64
    with pytest.raises(ClientError, match="NoSuchResource"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-0")


def credit(aws: FakeAws, name: str) -> float:
    now = datetime.now(timezone.utc)
    metric = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUCreditBalance",
        "Dimensions": [{"Name": "InstanceId", "Value": name}],
    }
    answer = client(aws, "cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "b", "MetricStat": {"Metric": metric, "Period": 300, "Stat": "Average"}}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
    )
    [result] = answer["MetricDataResults"]
    return float(result["Values"][0])


def test_a_fresh_t2_has_launch_credits_and_a_t3_none(aws: FakeAws) -> None:
    ec2 = client(aws, "ec2")
    names = [
        ec2.run_instances(MinCount=1, MaxCount=1, ImageId="ami-12345678", InstanceType=kind)["Instances"][0][
            "InstanceId"
        ]
        for kind in ["t2.medium", "t3.medium"]
    ]
    wait_until(lambda: states(aws) == ["running"] * 2, "running")
    assert credit(aws, names[0]) == pytest.approx(60, abs=0.1)
    assert credit(aws, names[1]) == pytest.approx(0, abs=0.1)
    told = ec2.describe_instance_credit_specifications(InstanceIds=names)["InstanceCreditSpecifications"]
    assert [each["CpuCredits"] for each in told] == ["standard", "unlimited"]
    zones = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.medium"]}]
    )
    assert len(zones["InstanceTypeOfferings"]) >= 2
