"""The Pricing API's GetProducts, and Service Quotas: what moto has none of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.pools import QUOTAS, Pools, vcpus_of
from mark.testing.aws.wire import AwsError, Call

__all__ = ["PriceList", "Quotas"]

_PAGE_MAX = 100


class PriceList:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, params: FakeAwsParams) -> None:
        self._params = params

    def get_products(self, call: Call) -> dict[str, Any]:
        """GetProducts of AmazonEC2: on-demand Linux of every type that has a price."""
        if call.params.get("ServiceCode") != "AmazonEC2":
            raise AwsError("NotFoundException", f"There is no service {call.params.get('ServiceCode')}")
        products = [self._product(kind, usd) for kind, usd in self._params.prices_usd_per_hour.items()]
        wanted = call.params.get("Filters") or []
        for each in wanted:
            if each.get("Type") != "TERM_MATCH":
                raise AwsError("InvalidParameterException", f"this fake knows TERM_MATCH, not {each.get('Type')}")
        found = [product for product in products if all(_matches(product, each) for each in wanted)]
        at, size = int(call.params.get("NextToken") or 0), int(call.params.get("MaxResults") or _PAGE_MAX)
        answer = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(product) for product in found[at : at + size]],
        }
        return answer | ({"NextToken": str(at + size)} if at + size < len(found) else {})

    def _product(self, kind: str, usd: float) -> dict[str, Any]:
        sku = "".join(letter for letter in kind.upper() if letter.isalnum())
        term = f"{sku}.JRTCKXETXF"
        dimension = {
            "unit": "Hrs",
            "description": f"${usd} per On Demand Linux {kind} Instance Hour",
            "pricePerUnit": {"USD": f"{usd:.10f}"},
            "rateCode": f"{term}.6YS6EN2CT7",
            "beginRange": "0",
            "endRange": "Inf",
            "appliesTo": [],
        }
        return {
            "product": {
                "sku": sku,
                "productFamily": "Compute Instance",
                "attributes": {
                    "servicecode": "AmazonEC2",
                    "regionCode": self._params.region,
                    "instanceType": kind,
                    "operatingSystem": "Linux",
                    "preInstalledSw": "NA",
                    "capacitystatus": "Used",
                    "tenancy": "Shared",
                    "marketoption": "OnDemand",
                    "licenseModel": "No License required",
                    "operation": "RunInstances",
                    "vcpu": str(vcpus_of(kind)),
                },
            },
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {term: {"sku": sku, "priceDimensions": {dimension["rateCode"]: dimension}}}},
            "version": "20260101000000",
            "publicationDate": "2026-01-01T00:00:00Z",
        }


class Quotas:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def list_quotas(self, call: Call) -> dict[str, Any] | None:
        """ListServiceQuotas and ListAWSDefaultServiceQuotas of EC2; other services are moto's."""
        if call.params.get("ServiceCode") != "ec2":
            return None
        return {"Quotas": [self._quota(code) for code in QUOTAS]}

    def get_quota(self, call: Call) -> dict[str, Any] | None:
        """GetServiceQuota of EC2."""
        if call.params.get("ServiceCode") != "ec2":
            return None
        if call.params["QuotaCode"] not in QUOTAS:
            raise AwsError("NoSuchResourceException", f"There is no quota {call.params['QuotaCode']} of ec2")
        return {"Quota": self._quota(call.params["QuotaCode"])}

    def _quota(self, code: str) -> dict[str, Any]:
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaCode": code,
            "QuotaName": QUOTAS[code][1],
            "Value": self._pools.quota(code),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _matches(product: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    described: Mapping[str, Any] = product["product"]
    known = {**described["attributes"], "productFamily": described["productFamily"]}
    return bool(known.get(wanted["Field"]) == wanted["Value"])
