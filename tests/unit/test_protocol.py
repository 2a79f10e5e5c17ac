"""Messages, statuses and tensors: the protocol as its other speakers know it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.grpc import service_pb2

from mark import _core, errors
from mark.protocol import messages
from mark.protocol.addresses import check_listenable
from mark.protocol.statuses import (
    RETRY_PUSHBACK_KEY,
    details_of,
    error_of,
    error_of_fault,
    status_of,
    trailing_metadata_of,
)
from mark.protocol.tensors import DATATYPES, array_of, datatype_of, raw_of

OURS = [
    messages.ServerLiveRequest, messages.ServerLiveResponse, messages.ServerReadyRequest, messages.ServerReadyResponse,
    messages.ModelReadyRequest, messages.ModelReadyResponse, messages.ServerMetadataRequest,
    messages.ServerMetadataResponse, messages.ModelMetadataRequest, messages.ModelMetadataResponse,
    messages.ModelInferRequest, messages.ModelInferResponse,
]  # fmt: skip


class TestMessages:
    @pytest.mark.parametrize("ours", OURS, ids=lambda ours: ours.DESCRIPTOR.name)
    def test_fields_are_those_of_nvidias_client(self, ours: type) -> None:
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[ours.DESCRIPTOR.name]  # type: ignore[attr-defined]

        def fields(descriptor: object) -> dict[str, tuple[int, int, bool]]:
            return {f.name: (f.number, f.type, f.is_repeated) for f in descriptor.fields}  # type: ignore[attr-defined]

        assert fields(ours.DESCRIPTOR) == fields(theirs)  # type: ignore[attr-defined]
        for nested in ours.DESCRIPTOR.nested_types:  # type: ignore[attr-defined]
            assert fields(nested) == fields(theirs.nested_types_by_name[nested.name])

    @pytest.mark.parametrize("name", ["InferParameter", "InferTensorContents"])
    def test_shared_messages_are_those_of_nvidias_client(self, name: str) -> None:
        ours = messages.POOL.FindMessageTypeByName(f"inference.{name}")
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]

        assert {f.name: f.number for f in ours.fields} == {f.name: f.number for f in theirs.fields}

    def test_one_process_can_use_both(self) -> None:
        script = "import mark.protocol.messages, tritonclient.grpc; import mark; mark.Client"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr


class TestStatuses:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (errors.InvalidRequest("x"), grpc.StatusCode.INVALID_ARGUMENT),
            (errors.ModelNotFound("x"), grpc.StatusCode.NOT_FOUND),
            (errors.Overloaded("x", 20), grpc.StatusCode.RESOURCE_EXHAUSTED),
            (errors.DeadlineExceeded("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
            (errors.Unavailable("x"), grpc.StatusCode.UNAVAILABLE),
            (errors.ModelFailed("x"), grpc.StatusCode.INTERNAL),
        ],
    )
    def test_an_error_survives_the_wire(self, error: errors.RequestError, code: grpc.StatusCode) -> None:
        assert status_of(error) is code

        back = error_of(code, str(error), trailing_metadata_of(error))

        assert type(back) is type(error)
        assert str(back) == "x"

    def test_pushback_travels_in_the_trailing_metadata(self) -> None:
        metadata = trailing_metadata_of(errors.Overloaded("x", 250))

        assert metadata == ((RETRY_PUSHBACK_KEY, "250"),)
        back = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "x", metadata)
        assert isinstance(back, errors.Overloaded)
        assert back.retry_after_ms == 250

    def test_an_overload_that_waiting_does_not_mend_forbids_the_retry(self) -> None:
        metadata = trailing_metadata_of(errors.Overloaded("x"))

        assert metadata == ((RETRY_PUSHBACK_KEY, "-1"),)

    def test_a_message_beyond_grpcs_limit_is_no_overload(self) -> None:
        back = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 5)")

        assert type(back) is errors.InvalidRequest
        assert "message_bytes_max" in str(back)

    @pytest.mark.parametrize("value", ["-1", "soon", b"\xff"])
    def test_pushback_that_is_no_number_is_none(self, value: str | bytes) -> None:
        back = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "x", [(RETRY_PUSHBACK_KEY, value)])

        assert isinstance(back, errors.Overloaded)
        assert back.retry_after_ms is None

    def test_a_call_that_a_stopping_server_cancels_is_safe_to_try_again(self) -> None:
        back = error_of(grpc.StatusCode.CANCELLED, "CANCELLED")

        assert type(back) is errors.Unavailable

    def test_a_foreign_status_is_a_plain_request_error(self) -> None:
        back = error_of(grpc.StatusCode.PERMISSION_DENIED, "no")

        assert type(back) is errors.RequestError
        assert str(back) == "PERMISSION_DENIED: no"

    def test_a_fault_of_the_codec_becomes_an_error(self) -> None:
        fault = _core.scan_target(b"\xff")
        assert isinstance(fault, _core.RequestFaultInfo)

        assert isinstance(error_of_fault(fault), errors.InvalidRequest)

    def test_details_fit_into_a_trailer_in_their_longest_spelling(self) -> None:
        details = details_of(errors.ModelFailed("\U0001f600" * 20_000))

        assert details.endswith("...")
        # gRPC writes each byte that is not ASCII as three.
        assert len(details.encode()) * 3 < 8192
        assert details_of(errors.ModelFailed("short")) == "short"

    def test_details_that_utf8_cannot_say_are_escaped(self) -> None:
        assert details_of(errors.ModelFailed("no file \udcff.pt")) == r"no file \udcff.pt"


class TestAddresses:
    @pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:65535", "0.0.0.0:0"])
    def test_host_and_port_are_taken(self, address: str) -> None:
        check_listenable(address)

    @pytest.mark.parametrize(
        "address", ["", "localhost", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "h:-1", ":80", "::1:80"]
    )
    def test_a_port_that_grpc_would_make_up_is_refused(self, address: str) -> None:
        with pytest.raises(errors.ConfigError, match="a port up to 65535"):
            check_listenable(address)

    def test_a_port_in_use_and_a_host_that_is_elsewhere_are_told_apart(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with pytest.raises(errors.ConfigError, match="already in use"):
                check_listenable(f"127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(errors.ConfigError, match="Cannot assign"):
            check_listenable("192.0.2.1:80")  # reserved for documentation: RFC 5737
        with pytest.raises(errors.ConfigError, match="cannot listen at nowhere"):
            check_listenable("nowhere.invalid:80")

    def test_a_socket_is_in_use_while_somebody_answers_at_it(self, tmp_path: Path) -> None:
        path = tmp_path / "socket"
        check_listenable(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            with pytest.raises(errors.ConfigError, match="the address is in use"):
                check_listenable(f"unix:{path}")

        assert path.exists()
        check_listenable(f"unix:{path}")

    def test_a_socket_path_that_the_system_does_not_take_is_said(self) -> None:
        with pytest.raises(errors.ConfigError, match="too long"):
            check_listenable(f"unix:/{'a' * 200}")


NUMERIC = st.sampled_from(
    [np.dtype(d) for d in ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")]
)


class TestTensors:
    @given(NUMERIC.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0))))
    def test_numbers_come_back_as_they_were(self, array: np.ndarray) -> None:
        datatype = datatype_of(array)

        back = array_of(bytes(raw_of(array, datatype)), datatype, array.shape)

        np.testing.assert_array_equal(back, array)
        assert not back.flags.writeable

    @given(st.lists(st.one_of(st.binary(max_size=20), st.text(max_size=10)), max_size=8))
    def test_bytes_come_back_as_bytes(self, words: list[bytes | str]) -> None:
        array = np.empty(len(words), dtype=object)
        array[:] = words

        back = array_of(raw_of(array, "BYTES"), "BYTES", [len(words)])

        assert back.tolist() == [word.encode() if isinstance(word, str) else word for word in words]

    def test_big_endian_and_strided_arrays_are_converted(self) -> None:
        array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]

        assert bytes(raw_of(array, "FP32")) == array.astype("<f4").tobytes()

    def test_bf16_travels_as_its_bits(self) -> None:
        bits = np.array([0x3F80, 0x4000], dtype=np.uint16)

        np.testing.assert_array_equal(array_of(raw_of(bits, "BF16"), "BF16", [2]), bits)

    @pytest.mark.parametrize("array", [np.zeros(2, complex), np.zeros(1, "M8[s]")])
    def test_a_type_that_the_protocol_lacks_is_named(self, array: np.ndarray) -> None:
        with pytest.raises(ValueError, match="has no datatype in the protocol"):
            datatype_of(array)

    def test_contents_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"FP32 of shape \[2\] takes 8 bytes, not 7"):
            array_of(bytes(7), "FP32", [2])
        with pytest.raises(ValueError, match="reaches past the end"):
            array_of(b"\x05\0\0\0ab", "BYTES", [1])
        with pytest.raises(ValueError, match="has 2 elements, not 1"):
            array_of(b"\x01\0\0\0a", "BYTES", [2])
        with pytest.raises(ValueError, match="holds float32, which is not INT8"):
            raw_of(np.zeros(1, np.float32), "INT8")
        with pytest.raises(ValueError, match="BYTES holds text or bytes, not int"):
            raw_of(np.array([1], dtype=object), "BYTES")
        for call in (lambda: array_of(b"", "FP31", [1]), lambda: raw_of(np.zeros(1), "FP31")):
            with pytest.raises(ValueError, match="unknown datatype 'FP31'"):
                call()

    def test_every_datatype_of_the_core_is_known(self) -> None:
        for datatype in [*DATATYPES, "BYTES"]:
            _core.ModelSignature("m", "1", [("x", datatype, [-1])], [("y", datatype, [-1])], 1)
