"""What the tests of clouds share: a model, offerings, the least of a worker, and how to wait in any kind of time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence

from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature, TensorSpec
from mark.ports import Cloud, Interruptible

__all__ = ["ARTIFACT", "OFFERINGS", "WORKER", "World"]

ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)
OFFERINGS = (
    Offering("small", Market.ON_DEMAND, price_usd_per_hour=3600.0, boot_s=0.0, max_count=2),
    Offering("slow", Market.SPOT, price_usd_per_hour=1.0, boot_s=0.3, max_count=1),
    Offering("kept", Market.BURSTABLE, price_usd_per_hour=1.0, boot_s=0.1, max_count=1, stopped=1),
)

# The least that a worker does: says that it serves, and answers ServerReady.
WORKER = textwrap.dedent(
    """
    import sys
    from concurrent import futures
    import grpc

    ready = grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 1]))
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ServerReady": ready})]
    )
    server.add_insecure_port(sys.argv[1])
    server.start()
    print("worker: serving m at", sys.argv[1], flush=True)
    sys.stdin.read()
    """
)


Take = Callable[[Sequence[Instance], float], Sequence[Instance]]
"""(instances, notice_s) -> them, under notice; of a cloud that takes none away on command"""


class World:
    """A cloud, and how its time passes."""

    def __init__(self, cloud: Cloud, pass_time: Callable[[], None], take: Take | None = None) -> None:
        self.cloud = cloud
        self.pass_time = pass_time
        self.changes = 0
        self._take = take

    def interrupt_spot(self, share: float, model: str = "", notice_s: float | None = None) -> Sequence[Instance]:
        if self._take is None:
            assert isinstance(self.cloud, Interruptible)
            return self.cloud.interrupt_spot(share, model, notice_s)
        spot = {each.name for each in OFFERINGS if each.market is Market.SPOT}
        staying = [
            each
            for each in self.cloud.list_instances()
            if each.offering in spot and each.taken_at_ns is None and each.ended_at_ns is None
        ]
        chosen = [each for each in staying if model in {"", each.model}]
        hit = chosen[: math.ceil(share * len(chosen))]
        return self._take(hit, 120.0 if notice_s is None else notice_s) if hit else []

    def see(self, instance: Instance) -> Instance:
        return next(known for known in self.cloud.list_instances() if known.id == instance.id)

    def wait_for(self, instance: Instance, state: InstanceState) -> Instance:
        for _ in range(300):
            seen = self.see(instance)
            if seen.state is state:
                return seen
            self.pass_time()
        raise AssertionError(f"{instance.id} did not become {state}, it is {self.see(instance)}")
