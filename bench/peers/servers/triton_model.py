"""The model in NVIDIA Triton's Python backend, which is handed all requests of a dynamic batch at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from bench.peers.mlp import Mlp


class TritonPythonModel:
    """What the backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = Mlp()

    def execute(self, requests: list[Any]) -> list[Any]:
        inputs = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        answers = np.split(self._model(np.concatenate(inputs)), np.cumsum([len(rows) for rows in inputs])[:-1])
        return [pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("y", answer)]) for answer in answers]
