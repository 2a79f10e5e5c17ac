"""BentoML: JSON over HTTP, one worker, its adaptive batching up to 64."""

from __future__ import annotations

import bentoml
import numpy as np
from bench.peers.mlp import ROWS_MAX, Mlp


@bentoml.service(workers=1, traffic={"timeout": 10, "max_concurrency": 1000})
class Infer:
    """The service that `bentoml serve` loads."""

    def __init__(self) -> None:
        self._model = Mlp()

    @bentoml.api(batchable=True, max_batch_size=ROWS_MAX, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def infer(self, x: np.ndarray) -> np.ndarray:
        return self._model(x.astype(np.float32))
