"""A whole AWS in this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from mark.testing.aws.billing import Bill, Ledger
from mark.testing.aws.computers import Computers
from mark.testing.aws.credits import Credits
from mark.testing.aws.ec2_state import ACCOUNT, Ec2State
from mark.testing.aws.faults import Fault, Faults
from mark.testing.aws.front import Front
from mark.testing.aws.functions import Functions
from mark.testing.aws.guard import Guard
from mark.testing.aws.instances import Instances
from mark.testing.aws.launching import Launching
from mark.testing.aws.machine import Machine
from mark.testing.aws.machines import Machines
from mark.testing.aws.metadata import Metadata
from mark.testing.aws.notices import Notices
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.permissions import Permissions
from mark.testing.aws.pools import Pools, SpotPrices
from mark.testing.aws.price_list import PriceList, Quotas
from mark.testing.aws.routes import ec2_operations
from mark.testing.aws.scripting import Scripting
from mark.testing.aws.simulation import simulation
from mark.testing.aws.spot_market import SpotMarket
from mark.testing.aws.tag_search import TagSearch
from mark.testing.aws.tagged import tagged
from mark.testing.aws.timers import Timers

__all__ = ["FakeAws"]

_ONE_AT_A_TIME = threading.Lock()


class FakeAws:
    """AWS on a loopback address, by moto and by what moto lacks, with faults on request.

    Moto keeps its state in the process, so a process holds one fake at a time; it begins empty.

    Thread safety: every method may be called from any thread.

    Raises:
        RuntimeError: this process has one already.
    """

    def __init__(self, params: FakeAwsParams | None = None) -> None:
        self.params = params or FakeAwsParams()
        if not _ONE_AT_A_TIME.acquire(blocking=False):
            raise RuntimeError("this process runs a fake AWS already; close it first")
        self._closed = False
        BackendDict.reset()
        reset_model_data()
        self._faults = Faults()
        self._front = Front(DomainDispatcherApplication(create_backend_app), self.params.region, self._faults)
        try:
            self._server: BaseWSGIServer = make_server(
                "127.0.0.1", self.params.port, self._front, threaded=True, request_handler=_QuietHandler
            )
        except BaseException:
            _ONE_AT_A_TIME.release()
            raise
        self._timers = Timers()
        self._guard = Guard()
        self._computers = Computers(self.params, self.endpoint_url, self._guard)
        self._machines = Machines(self.params, self._timers, self._computers)
        self._pools = Pools(self.params)
        self._prices = SpotPrices(self.params)
        self._state = Ec2State(self.params, self._machines)
        self._credits = Credits(self._state)
        self._ledger = Ledger(self.params, self._prices)
        self._functions = Functions(self.params, self.endpoint_url, self._timers, self._guard, self._ledger)
        self._route()
        self._thread = threading.Thread(target=self._serve, name="fake-aws", daemon=True)
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which boto3 and the AWS command line talk to it as its owner."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.params.region,
            "AWS_DEFAULT_REGION": self.params.region,
            "AWS_ACCESS_KEY_ID": "AKIAFAKEOWNER",
            "AWS_SECRET_ACCESS_KEY": "fake",
        }

    @property
    def calls(self) -> Counter[str]:
        """How often each operation was called so far, as "ec2:DescribeInstances"."""
        return self._front.calls

    def fail(
        self,
        operation: str,
        code: str,
        *,
        times: int | None = 1,
        instance_type: str | None = None,
        zone: str | None = None,
        after: bool = False,
    ) -> None:
        """Fail calls.

        Args:
            operation: "ec2:RunInstances", or "RunInstances" of whatever service.
            code: AWS's code, such as "RequestLimitExceeded".
            times: so many calls; None for every one from now on.
            instance_type: fail only launches and starts of this type; CreateFleet goes on with other pools, and names
                the error among its Errors.
            zone: likewise.
            after: do the operation, and lose its answer.
        """
        self._faults.add(Fault(operation, code, times, instance_type or "", zone or "", after))

    def clear_faults(self) -> None:
        """Forget the faults that are still to come."""
        self._faults.clear()

    def sell_out(self, instance_type: str, zone: str | None = None, available: int | None = 0) -> None:
        """Leave so many instances of a type in a zone to be had; None for as many as anyone wants."""
        with self._machines.lock:
            self._pools.sell_out(instance_type, zone, available)

    def set_spot_price(self, instance_type: str, zone: str, usd: float, at_s: float | None = None) -> None:
        """The spot price from now on, or from another time (seconds since the epoch) on."""
        self._prices.set(instance_type, zone, usd, at_s)

    def interrupt(self, instance_ids: Iterable[str], notice_s: float = 120.0) -> None:
        """Take spot instances away after so long, told by the metadata service and to EventBridge's queues at once."""
        self._spot.interrupt(instance_ids, notice_s)

    def recommend_rebalance(self, instance_ids: Iterable[str]) -> None:
        """Tell spot instances that they are likely to be taken away."""
        self._spot.recommend_rebalance(instance_ids)

    def set_cpu_share(self, instance_id: str, share: float) -> None:
        """What part of its vCPUs a burstable instance uses, for its CPU credits; 0 unless told."""
        self._credits.set_cpu_share(instance_id, share)

    def record(self) -> Bill:
        """The fake's own bill so far, from its own record of what ran."""
        with self._machines.lock:
            return self._ledger.bill(self._machines.all())

    def tagged(self, cluster: str, key: str = "mark:cluster") -> list[str]:
        """ARNs of what is there, of whatever service, and carries the cluster's tag."""
        return tagged(self._state, key, cluster)

    def allow(self, policy_document: Mapping[str, Any] | None, key: str = "") -> None:
        """Refuse calls that an IAM policy does not allow; None to allow everything again.

        Calls are judged by who signed them: by the policy of the access key `key`, or by the one without a key. Those
        of an instance or function with a role are judged by the policies of that role always, as on AWS.

        Raises:
            ValueError: the policy has an element that the fake does not know.
        """
        self._permissions.allow(policy_document, key)

    def instances(self) -> list[dict[str, Any]]:
        """Every instance, the terminated ones too, as DescribeInstances shows them."""
        with self._machines.lock:
            return [machine.described(ACCOUNT) for machine in self._machines.all()]

    def console(self, instance_id: str) -> str:
        """What an instance's processes printed."""
        return self._computers.console(instance_id)

    def root(self, instance_id: str) -> Path:
        """The folder that is an instance's disk; gone when it is terminated."""
        return self._computers.root(instance_id)

    @property
    def cold_starts(self) -> Counter[str]:
        """Function -> how many execution environments were started for it so far."""
        return self._functions.cold_starts.copy()

    def environments(self, function: str) -> int:
        """How many execution environments a function has."""
        return self._functions.processes(function)

    def processes(self) -> Mapping[str, int]:
        """Instance id -> process id of those that run one."""
        return self._computers.processes()

    def close(self) -> None:
        """End everything: no process, port or file is left."""
        if self._closed:
            return
        self._closed = self._front.closed = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._timers.close()
        self._functions.close()
        self._computers.close()
        self._guard.close()
        _ONE_AT_A_TIME.release()

    def __enter__(self) -> FakeAws:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _route(self) -> None:
        launching = Launching(self._state, self._pools, self._prices, self._faults)
        instances = Instances(self._state, launching.check_start)
        notices = Notices(self.params.region)
        self._spot = SpotMarket(self._state, self._prices, self._timers, notices)
        self._machines.changed = self._tell(notices)
        self._permissions = Permissions(self._state)
        self._front.permit = self._permissions.denied
        self._front.operations |= ec2_operations(launching, instances)
        self._front.operations["iam:SimulatePrincipalPolicy"] = simulation(self._permissions.policy_of)
        quotas, search = Quotas(self._pools), TagSearch(self._state)
        self._front.operations |= {
            "ec2:DescribeSpotPriceHistory": self._spot.describe_prices,
            "ec2:DescribeInstanceCreditSpecifications": self._credits.specifications,
            "ec2:DescribeTags": search.describe_tags,
            "resourcegroupstaggingapi:GetResources": search.get_resources,
            "cloudwatch:GetMetricData": self._credits.metric_data,
            "lambda:GetAccountSettings": self._functions.account_settings,
            "pricing:GetProducts": PriceList(self.params).get_products,
            "service-quotas:ListServiceQuotas": quotas.list_quotas,
            "service-quotas:ListAWSDefaultServiceQuotas": quotas.list_quotas,
            "service-quotas:GetServiceQuota": quotas.get_quota,
        }
        self._front.raw_operations["lambda:Invoke"] = self._functions.invoke
        self._front.pages["fake"] = self._scripting().page
        self._front.pages["imds"] = Metadata(self._machines, self.params.region).page

    def _scripting(self) -> Scripting:
        orders: dict[str, Callable[..., None]] = {
            "fail": self.fail,
            "clear_faults": self.clear_faults,
            "sell_out": self.sell_out,
            "interrupt": self.interrupt,
            "recommend_rebalance": self.recommend_rebalance,
            "set_spot_price": self.set_spot_price,
            "set_cpu_share": self.set_cpu_share,
            "allow": self.allow,
        }
        reads: dict[str, Callable[..., Any]] = {
            "calls": lambda: self.calls,
            "cold_starts": lambda: self.cold_starts,
            "console": self.console,
            "environments": self.environments,
            "instances": self.instances,
            "processes": self.processes,
            "record": self.record,
            "tagged": self.tagged,
        }
        return Scripting(orders, reads)

    def _tell(self, notices: Notices) -> Callable[[Machine], None]:
        """Tells queues of states, without the machines' lock that the listener is called with."""
        return lambda machine: self._timers.after(0.0, partial(notices.state, machine.id, machine.state.value[0]))

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Say nothing: every call is counted."""
