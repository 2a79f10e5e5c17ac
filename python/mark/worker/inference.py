"""One request on one model: checked, computed and answered, whatever carries the bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mark._core import InferRequest, RequestFaultInfo, parse_infer_request, write_infer_response
from mark._core import ModelSignature as CoreSignature
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import ModelFailed
from mark.protocol.error_names import error_of_fault
from mark.protocol.tensors import array_of, datatype_of, raw_of
from mark.worker.runtimes import Arrays, Model, first_line

__all__ = ["Inference", "Tensor"]

Tensor = tuple[str, str, tuple[int, ...], bytes | memoryview]
"""(name, datatype, shape, raw contents): one output, as the codec writes it."""


class Rows(Protocol):
    """What the model is run on: inputs in the order of the signature, in the protocol's raw form."""

    @property
    def rows(self) -> int:
        """Of each input."""
        ...

    def shape(self, index: int) -> Sequence[int]:
        """Of input `index`."""
        ...

    def raw(self, index: int) -> bytes:
        """Of input `index`."""
        ...


class Inference:
    """A model behind its signature: a ModelInferRequest in, a ModelInferResponse out.

    Thread safety: `parse` may be called from any thread; `compute` by one thread at a time, as the model itself.
    """

    def __init__(self, signature: ModelSignature, model: Model) -> None:
        self._signature = signature
        self.core_signature = CoreSignature(
            signature.name,
            signature.version,
            [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.inputs],
            [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.outputs],
            signature.rows_max,
        )
        self._model = model

    def parse(self, message: bytes) -> InferRequest:
        """Read a ModelInferRequest.

        Raises:
            InvalidRequest: it is none, or does not fit the signature; the message names the field.
            ModelNotFound: it is for another model or version.
        """
        parsed = parse_infer_request(message, self.core_signature)
        if isinstance(parsed, RequestFaultInfo):
            raise error_of_fault(parsed)
        return parsed

    def compute(self, request: InferRequest) -> bytes:
        """Run the model, and write its ModelInferResponse.

        Raises:
            ModelFailed: the model raised, or gave what its signature does not say.
        """
        outputs = self._outputs(request)
        tensors = [self._tensor(self._signature.outputs[index], outputs, request.rows) for index in request.outputs]
        return write_infer_response(self._signature.name, self._signature.version, request.id, tensors)

    def run(self, rows: Rows) -> list[Tensor]:
        """Run the model, and check all that it gives; errors as `compute`."""
        outputs = self._outputs(rows)
        return [self._tensor(spec, outputs, rows.rows) for spec in self._signature.outputs]

    def _outputs(self, rows: Rows) -> Arrays:
        inputs = {
            tensor.name: array_of(rows.raw(index), tensor.datatype, rows.shape(index))
            for index, tensor in enumerate(self._signature.inputs)
        }
        try:
            outputs = self._model(inputs)
        except BaseException as error:  # a request that makes a model exit, or panic, must not end worker after worker
            raise ModelFailed(first_line(error)) from error
        if not isinstance(outputs, Mapping):
            raise ModelFailed(f"the model gave a {type(outputs).__name__}, not a mapping of arrays")
        return outputs

    @staticmethod
    def _tensor(spec: TensorSpec, outputs: Arrays, rows: int) -> Tensor:
        array = outputs.get(spec.name)
        if array is None:
            raise ModelFailed(f"the model gave no output {spec.name!r}, only {', '.join(outputs) or 'nothing'}")
        if not isinstance(array, np.ndarray):
            raise ModelFailed(f"output {spec.name!r} is a {type(array).__name__}, not an array")
        if array.ndim == 0 or array.shape[0] != rows:
            raise ModelFailed(f"output {spec.name!r} has shape {list(array.shape)} for {rows} rows")
        try:
            # BF16 has no NumPy type: it travels as uint16.
            datatype = "BF16" if spec.datatype == "BF16" else datatype_of(array)
            raw = raw_of(array, datatype)
        except ValueError as error:
            raise ModelFailed(f"output {spec.name!r} {error}") from error
        if datatype != spec.datatype:
            raise ModelFailed(f"output {spec.name!r} is {datatype}, its signature says {spec.datatype}")
        return spec.name, datatype, array.shape, raw
